"""Does the monitor judge real runs rightly? ``python -m benchmarks.monitor.runs healthy|crossed [--out FILE]``.

``healthy``: correctly wired learners, ours on the stand-in in several configurations, stable-baselines3's on Pendulum;
no detector may fail. ``crossed``: the described system's fault on the stand-in with its settings (batch 64 for speed),
clipping on and off and with LayerNorm; D1-D4 alone must stop it. Each finished run is one line of the file, so that a
repeated command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.learning.former import MEMORY, PLAIN
from benchmarks.monitor.detection import wilson

SHORT = [
    *PLAIN,
    "steps=900", "warmup=300", "updates_per_step=0.6", "hyperparams.batch_size=32", "eval_every=150", "eval_episodes=1",
    "save_every=100000", "tracking=off", "threads=1", "log_every=15",
]  # fmt: skip
HEALTHY = {
    "paper": [],
    "author": ["hyperparams=author", "hyperparams.batch_size=32"],
    "drive": [
        *("env.vector=speed", "env.steer_scale=.4"),
        *("hyperparams.gamma=.95", "hyperparams.actor_lr=1e-4", "hyperparams.critic_lr=3e-4"),
    ],
    "gru48": ["recurrent=gru48", *MEMORY, "hyperparams.batch_size=2"],
    "critic_only, LayerNorm": ["wiring=critic_only", "feature_norm=layernorm"],
    "mpg, per-module clip": ["target=mpg", "clip=per_module"],
}
CROSSED = [
    "experiment=described_5k", "wiring=crossed", "hyperparams=as_ran", "hyperparams.batch_size=64",
    "warmup=300", "steps=1300", "monitor=stop", "monitor.stop_on=[d1,d2,d3,d4]", "eval_every=100000", "eval_episodes=1",
    "save_every=100000", "tracking=off", "threads=1",
]  # fmt: skip
VARIANTS = {
    "clip on": [],
    "clip off": ["clip=off"],
    "LayerNorm": ["feature_norm=layernorm"],
}


def run_ours(overrides: list[str], folder: Path) -> tuple[Any, dict[str, Any]]:
    """One run of the product in ``folder``: its settings and its summary."""
    from hydra import compose, initialize_config_dir

    from td3sweep.config.compose import register, to_settings
    from td3sweep.config.presets import config_directory
    from td3sweep.training.run import run

    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        settings = to_settings(compose("config", overrides=overrides))
    return settings, run(settings, folder).summary


def ours(overrides: list[str]) -> dict[str, Any]:
    """One run of the product; what its monitor said."""
    with tempfile.TemporaryDirectory() as folder:
        settings, summary = run_ours(overrides, Path(folder))
    return {key: summary[key] for key in ("verdict", "alarms", "updates", "env_steps", "final_return")} | {
        "warmup": settings.warmup,
        "updates_per_step": settings.updates_per_step,
    }


def sb3(seed: int) -> dict[str, Any]:
    """stable-baselines3's TD3 on Pendulum, watched by our callback."""
    import numpy as np
    from stable_baselines3 import TD3
    from stable_baselines3.common.noise import NormalActionNoise

    from td3sweep.monitor.stable_baselines3 import DivergenceMonitor

    callback = DivergenceMonitor(every=50, verbose=0)
    noise = NormalActionNoise(np.zeros(1), 0.1 * np.ones(1))
    settings = {"learning_starts": 1000, "action_noise": noise, "policy_kwargs": {"net_arch": [64, 64]}}
    TD3("MlpPolicy", "Pendulum-v1", seed=seed, **settings).learn(4000, callback=callback)
    monitor = callback.watch.monitor
    return {"verdict": monitor.verdict, "alarms": [alarm.as_dict() for alarm in monitor.alarms], "updates": 3000}


def gather(
    out: Path, todo: dict[str, Callable[[], dict[str, Any]]], *, everything: bool = False
) -> list[dict[str, Any]]:
    """Run what the file does not hold yet, a line each; return what was asked for, or all that it holds."""
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    names = {row["name"] for row in done}
    for name, make in todo.items():
        if name not in names:
            row = {"name": name, **make()}
            done.append(row)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
    return [row for row in done if everything or row["name"] in todo]


def failures(row: dict[str, Any], detectors: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Failed alarms of a run, of the named detectors or of all but the audit of what was asked for."""
    return [
        alarm
        for alarm in row["alarms"]
        if alarm["level"] == "FAIL" and (alarm["detector"] in detectors if detectors else alarm["detector"] != "d0")
    ]


def report_healthy(rows: list[dict[str, Any]]) -> None:
    """One line a configuration, then the share of runs that failed with its interval."""
    for row in rows:
        alarms = "; ".join(f"{a['level']} {a['detector']} at {a['step']}" for a in row["alarms"]) or "no alarm"
        print(f"  {row['name']:32} {row['verdict']:13} {alarms}")
    bad = sum(bool(failures(row)) for row in rows)
    low, high = wilson(bad, len(rows))
    print(f"{bad} of {len(rows)} healthy runs failed [{low:.1%}, {high:.1%}]")


def report_crossed(rows: list[dict[str, Any]]) -> None:
    """Caught by D1-D4 alone, and after how many updates; D0's audit at the start beside it."""
    for variant in VARIANTS:
        mine = [row for row in rows if row["name"].startswith(variant + ",")]
        caught = [failures(row, ("d1", "d2", "d3", "d4"))[0] for row in mine if failures(row, ("d1", "d2", "d3", "d4"))]
        audited = sum(any(alarm["detector"] == "d0" for alarm in row["alarms"]) for row in mine)
        delays = [(alarm["step"] - mine[0]["warmup"]) * mine[0]["updates_per_step"] for alarm in caught]
        median = f"{statistics.median(delays):.0f}" if delays else "-"
        first = sorted({alarm["detector"] for alarm in caught})
        print(f"  {variant:10} caught {len(caught)} of {len(mine)}, median delay {median} updates "
              f"(first: {', '.join(first) or '-'}); named by the audit at start: {audited} of {len(mine)}")  # fmt: skip


def main() -> None:
    """Run and report one of the two halves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["healthy", "crossed"])
    parser.add_argument("--out", type=Path, help="file of results, gone on with if it exists")
    parser.add_argument("--seeds", type=int, help="seeds of each configuration (healthy 2, crossed 10)")
    options = parser.parse_args()
    out = options.out or Path(f"docs/data/monitor_{options.what}.jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    if options.what == "healthy":
        todo = {
            f"{name}, seed {seed}": (lambda extra=extra, seed=seed: ours([*SHORT, *extra, f"seed={seed}"]))
            for name, extra in HEALTHY.items()
            for seed in range(options.seeds or 2)
        }
        todo |= {f"stable-baselines3, seed {seed}": (lambda seed=seed: sb3(seed)) for seed in range(8)}
        report_healthy(gather(out, todo))
        return
    todo = {
        f"{name}, seed {seed}": (lambda extra=extra, seed=seed: ours([*CROSSED, *extra, f"seed={seed}"]))
        for seed in range(options.seeds or 10)
        for name, extra in VARIANTS.items()
    }
    report_crossed(gather(out, todo))


if __name__ == "__main__":
    main()
