"""What a trial costs beside its work: 200 trials of a trivial objective, eight at a time, ours and the stock plugin's.

``python -m benchmarks.performance.sweep_overhead`` runs td3sweep's controller with its local engine, then Hydra's own
Optuna sweeper with its joblib launcher (pre-releases, from the package index, in a virtual environment that is thrown
away), one after the other. Ours starts a process for each trial, which is what lets a trial be killed, moved and
resumed alone; the stock plugin runs eight trials in a pool of processes and waits for the slowest before the next
eight.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
STOCK = ("hydra-optuna-sweeper", "hydra-joblib-launcher")
CONFIG = """\
defaults:
  - override hydra/sweeper: optuna
  - override hydra/launcher: joblib
  - _self_
x: 0.5
hydra:
  launcher: {{n_jobs: {width}}}
  sweeper:
    storage: null
    study_name: stock
    direction: maximize
    n_trials: {trials}
    n_jobs: {width}
    sampler: {{seed: 0}}
    params: {{x: "interval(0,1)"}}
"""
JOB = """\
import hydra

@hydra.main(config_path=".", config_name="config", version_base=None)
def job(config):
    return config.x

job()
"""


def trivial(work: Any) -> Any:
    """A trial that is worth its point and takes no time."""
    from td3sweep.sweep.trial import Ending

    return Ending([float(work.overrides[0].partition("=")[2])])


def ours(home: Path, trials: int, width: int) -> None:
    """A sweep of :func:`trivial` with the local engine, in a process of its own: ``python -c`` calls it."""
    from td3sweep.config.settings import SweepSettings
    from td3sweep.sweep.controller import Controller
    from td3sweep.sweep.engines.local import LocalEngine
    from td3sweep.sweep.space import parse_space
    from td3sweep.sweep.spec import Spec
    from td3sweep.sweep.study import Ledger

    space, _ = parse_space({}, ["x=interval(0,1)"])
    search = SweepSettings(trials=trials, width=width)
    spec = Spec("ours", "none", space.words, [], [0], {}, search, task="benchmarks.performance.sweep_overhead:trivial")
    home.mkdir()
    spec.save(home)
    Controller(Ledger(spec, home, space), LocalEngine(home, width), space, trials).run()


def measured(command: list[str], log: Path) -> tuple[float, float]:
    """Wall seconds and seconds of processor time of a command and its children."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with log.open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=output, cwd=log.parent, env=HERE, check=False)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{log.read_text()[-2000:]}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_ours(home: Path, trials: int, width: int) -> tuple[float, float]:
    """Wall and processor seconds of our sweep."""
    call = f"ours(Path('ours'), {trials}, {width})"
    code = f"from pathlib import Path; from {__package__}.sweep_overhead import ours; {call}"
    found = measured([sys.executable, "-c", code], home / "ours.log")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = JournalStorage(JournalFileBackend(str(home / "ours/study.journal")))
    complete = [
        trial for trial in optuna.load_study(study_name="ours", storage=storage).trials if trial.value is not None
    ]
    assert len(complete) == trials, f"{len(complete)} trials"
    return found


def run_stock(home: Path, trials: int, width: int) -> tuple[float, float]:
    """Wall and processor seconds of the stock plugin's sweep, after its installation."""
    venv.create(home / "venv", with_pip=True)
    python = str(home / "venv/bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "--pre", *STOCK], check=True, stderr=subprocess.DEVNULL)
    (home / "config.yaml").write_text(CONFIG.format(trials=trials, width=width))
    (home / "job.py").write_text(JOB)
    return measured([python, "job.py", "--multirun", f"hydra.sweep.dir={home}/stock"], home / "stock.log")


def versions(home: Path) -> str:
    """What the stock plugin ran with."""
    listed = subprocess.run(
        [str(home / "venv/bin/python"), "-m", "pip", "list", "--format=json"],
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {*STOCK, "hydra-core", "optuna", "joblib"}
    return ", ".join(f"{one['name']} {one['version']}" for one in json.loads(listed.stdout) if one["name"] in wanted)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.performance.sweep_overhead", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--width", type=int, default=8, help="trials at a time")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="td3sweep-overhead-") as folder:
        home = Path(folder)
        rows: dict[str, dict[str, float]] = {}
        runs: dict[str, Callable[[Path, int, int], tuple[float, float]]] = {"td3sweep": run_ours, "stock": run_stock}
        for name, run in runs.items():
            wall, cpu = run(home, given.trials, given.width)
            rows[name] = {
                "wall_s": round(wall, 1),
                "wall_s_per_trial": round(wall / given.trials, 3),
                "wall_s_per_trial_and_slot": round(wall / given.trials * given.width, 3),
                "cpu_s_per_trial": round(cpu / given.trials, 3),
            }
        found = {"trials": given.trials, "width": given.width, "stock": versions(home), "rows": rows}
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{given.trials} trials, {given.width} at a time; stock: {found['stock']}")
    for name, row in rows.items():
        print(f"{name:9} {row}")


if __name__ == "__main__":
    main()
