"""Cells of a table: a configuration each, trained on several seeds and then driven by the evaluation protocol.

A cell's run is the product's own command on one core, pinned, or as it is typed on all of them; its test is
``python -m td3sweep.evaluate``. Each finished pair of cell and seed is one line of a file, so that a repeated command
goes on where it was stopped, in the midst of a run as well. :func:`parser` and :func:`run_asked` are the command line
of a set of tables.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from td3sweep.record.provenance import processor, software

Cores = Sequence[int]
ALWAYS = ["threads=1", "tracking=off"]
EPISODES = 20  # of a test
BEST = "checkpoints/best.pt"
KEPT = ("success", "route_completion", "speed", "return", "length")  # of an evaluation's totals
CURVE = ("eval/success", "eval/route_fraction", "eval/return")


@dataclass(frozen=True)
class Cell:
    """One configuration of a table.

    Attributes:
        name: its row in the table.
        overrides: of the command line.
        seeds: runs, on the seeds from 0.
        tests: label and overrides of each evaluation; the empty label is the run's own task. :data:`BEST` before the
            overrides tests the weights of the run's best evaluation in the place of its last.
        whole: the run has the whole machine and nothing is said beside the overrides and the seed.
    """

    name: str
    overrides: Sequence[str]
    seeds: int
    tests: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"": ()})
    whole: bool = False


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of finished runs; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_cells(table: str, cells: Sequence[Cell], runs: Path, out: Path, *, width: int) -> None:
    """Train and test what ``out`` lacks, ``width`` runs at a time, seed by seed so that all cells grow alike.

    Args:
        table: name that marks the rows.
        cells: what to run.
        runs: folder of the run directories.
        out: file of finished runs; a line is added for each.
        width: runs at a time, a core each; one, where a cell wants the whole machine.
    """
    done = {(row["table"], row["cell"], row["seed"]) for row in rows_of(out)}
    jobs = [(cell, seed) for seed in range(max(cell.seeds for cell in cells)) for cell in cells if seed < cell.seeds]
    jobs = [(cell, seed) for cell, seed in jobs if (table, cell.name, seed) not in done]
    cores: queue.SimpleQueue[Cores] = queue.SimpleQueue()
    every = sorted(os.sched_getaffinity(0))
    width = 1 if any(cell.whole for cell in cells) else width
    for core in every[:width]:
        cores.put(every if width == 1 else [core])
    started = time.monotonic()
    with ThreadPoolExecutor(width) as pool:
        waiting = {
            pool.submit(_pinned, cores, partial(run_cell, cell, seed, runs / table, EPISODES)) for cell, seed in jobs
        }
        for number, job in enumerate(as_completed(waiting), 1):
            if job.exception():
                pool.shutdown(cancel_futures=True)
            row = {"table": table, **job.result()}
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            left = (time.monotonic() - started) / number * (len(jobs) - number)
            print(f"{table} {number}/{len(jobs)}, about {left / 60:.0f} min left: {_line(row)}", flush=True)


def parser(
    prog: str, about: str | None, tables: Mapping[str, Sequence[Cell]], *, runs: Path, out: Path
) -> argparse.ArgumentParser:
    """The options of a command that runs tables by name.

    Args:
        prog: its module.
        about: its description.
        tables: cells by the table's name.
        runs: default folder of the run directories.
        out: default file of the finished runs.
    """
    command = argparse.ArgumentParser(
        prog=f"python -m {prog}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("table", nargs="*", choices=[*tables, []], metavar="TABLE", help=f"of {', '.join(tables)}")
    command.add_argument("--cell", help="only the cell of that name")
    command.add_argument("--width", type=int, default=1, help="runs at a time, a core each")
    command.add_argument("--runs", type=Path, default=runs, help="of the run directories")
    command.add_argument("--out", type=Path, default=out, help="of the finished runs")
    command.set_defaults(refuse=command.error)
    return command


def run_asked(options: argparse.Namespace, tables: Mapping[str, Sequence[Cell]]) -> None:
    """Run what is missing of the tables that :func:`parser` was asked for."""
    for name in options.table:
        cells = [cell for cell in tables[name] if options.cell in (None, cell.name)]
        if not cells:
            options.refuse(f"--cell {options.cell}: {name} has {'; '.join(cell.name for cell in tables[name])}")
        run_cells(name, cells, options.runs, options.out, width=options.width)


def _pinned(cores: queue.SimpleQueue[Cores], work: Any) -> dict[str, Any]:
    core = cores.get()
    try:
        found: dict[str, Any] = work(core)
        return found
    finally:
        cores.put(core)


def run_cell(cell: Cell, seed: int, runs: Path, episodes: int, cores: Cores) -> dict[str, Any]:
    """Train one cell on one seed, test it, and return its row.

    Raises:
        RuntimeError: the run or a test failed; the message ends with what it said.
    """
    folder = runs / folder_of(cell.name) / f"seed-{seed}"
    own = cores if cell.whole else cores[:1]
    always = () if cell.whole else ALWAYS
    _command(["td3sweep", *cell.overrides, *always, f"seed={seed}", f"hydra.run.dir={folder}"], own)
    summary = json.loads((folder / "summary.json").read_text())
    logged = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    curve = [[row["env_step"], *(row.get(key) for key in CURVE)] for row in logged if row["phase"] == "evaluation"]
    tests = {label: _test(folder, label, overrides, episodes, own) for label, overrides in cell.tests.items()}
    return {
        "cell": cell.name, "seed": seed, "overrides": list(cell.overrides), "steps": summary["env_steps"],
        "updates": summary["updates"], "updates_per_s": summary["updates_per_s"],
        "minutes": round(summary["seconds"] / 60, 2), "verdict": summary["verdict"], "curve": curve, "tests": tests,
        "cores": len(own), "processor": processor(), **{key: software()[key] for key in ("commit", "dirty")},
    }  # fmt: skip


def _test(folder: Path, label: str, overrides: Sequence[str], episodes: int, cores: Cores) -> dict[str, Any]:
    out = folder / "tests" / folder_of(label or "own")
    options = ["--no-video", f"--episodes={episodes}", "--out", str(out)]
    what, *overrides = (str(folder / BEST), *overrides[1:]) if BEST in overrides[:1] else (str(folder), *overrides)
    _command(["td3sweep.evaluate", *options, what, *overrides], cores)
    found = json.loads((out / "evaluation.json").read_text())
    return {"episodes": episodes} | {key: found["totals"][key]["value"] for key in KEPT if key in found["totals"]}


def folder_of(name: str) -> str:
    """The folder of a cell's runs."""
    return re.sub(r"[^\w.]+", "-", name)  # no signs that the command line or Hydra would take for their own


def _command(words: Sequence[str], cores: Cores) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(len(cores)), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        ["taskset", "--cpu-list", ",".join(map(str, cores)), sys.executable, "-m", *words],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode not in (0, 3):  # 3: the monitor has stopped it, which is a result
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")


def _line(row: Mapping[str, Any]) -> str:
    tests = ", ".join(
        f"{label or 'test'} {100 * found['success']:.0f} % of {found['episodes']}, return {found['return']:.1f}"
        for label, found in row["tests"].items()
    )
    return f"{row['cell']} seed {row['seed']}: {tests}; {row['verdict']}, {row['minutes']:.1f} min"
