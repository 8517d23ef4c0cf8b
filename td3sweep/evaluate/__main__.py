"""The door of ``python -m td3sweep.evaluate CHECKPOINT_OR_RUN [overrides]``: find, drive, measure, show."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads would take the simulator's core

from rich.console import Console

from td3sweep.config.compose import COMPOSITION_ERRORS, compose_settings
from td3sweep.config.failures import Parser, explain_failure, refuse
from td3sweep.config.settings import Settings
from td3sweep.errors import SimulatorError, UserError

if TYPE_CHECKING:
    from td3sweep.collect.drivers import Driver

POLICIES = ("checkpoint", "pid", "autopilot", "constant", "random")
ON_CARLA = {"pid": "it follows the route of env=carla", "autopilot": "it is CARLA's Traffic Manager"}
LONGEST = 60  # characters of overrides in a directory's name


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 done, 1 the simulator failed, 2 a fault in what was asked."""
    try:
        _evaluate(_parser().parse_intermixed_args(arguments))
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (UserError, SimulatorError, OSError, ValueError, *COMPOSITION_ERRORS) as error:
        refuse(*explain_failure(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _evaluate(options: argparse.Namespace) -> None:
    from td3sweep.collect.drivers import Trained
    from td3sweep.evaluate.driving_test import as_json, run_protocol, write
    from td3sweep.evaluate.explain import Explainer
    from td3sweep.evaluate.saved import load_agent
    from td3sweep.evaluate.table import print_table

    path, overrides = _split(options.what)
    checkpoint, settings = _settings(options.policy, path, overrides)
    if settings.threads is not None:
        import torch

        torch.set_num_threads(settings.threads)
    explainer, step = None, None
    if options.explain and checkpoint is None:
        raise UserError("--explain: it asks what a trained policy looked at; give a checkpoint to drive")
    driver: Driver
    if checkpoint is None:
        driver = _baseline(options.policy, settings)
    else:
        agent, step = load_agent(settings, checkpoint)
        explainer = Explainer(agent) if options.explain else None
        driver = explainer or Trained(agent)
    out = options.out or _default_out(options.policy, path, step, overrides, options.record is not None)
    console = Console(highlight=False, stderr=options.json)
    result = run_protocol(
        settings,
        driver,
        out,
        episodes=options.episodes,
        video=options.video,
        about={
            "policy": options.policy,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "env_step": step,
        },
        record=options.record,
        tell=lambda line: console.print(line, markup=False, soft_wrap=True),
    )
    if explainer is not None:
        result["explain"] = explainer.explain(out / "explain.png", result["simulator"])
        write(result, out)
    if options.json:
        print(as_json(result), flush=True)
    else:
        print_table(result, console)
    console.print(f"written: {out}", markup=False, soft_wrap=True)


def _split(what: list[str]) -> tuple[Path | None, list[str]]:
    """The path, if the first word is one, and the overrides."""
    if what and ("=" not in what[0] or Path(what[0]).exists()):
        return Path(what[0]), what[1:]
    return None, what


def _settings(policy: str, path: Path | None, overrides: list[str]) -> tuple[Path | None, Settings]:
    """The checkpoint to drive (None for a baseline), and what to drive on."""
    from td3sweep.evaluate.saved import find, saved_settings

    if path is None:
        if policy == "checkpoint":
            raise UserError(
                "give a run directory or a checkpoint, or a baseline such as --policy pid; --help says more"
            )
        return None, compose_settings(overrides)
    checkpoint, config = find(path)
    settings = saved_settings(config, overrides)
    if policy != "checkpoint":
        return None, settings
    if checkpoint is None:
        raise UserError(f"{path}: it has no checkpoints/step-*.pt yet; wait for its first, or give another run")
    return checkpoint, settings


def _baseline(policy: str, settings: Settings) -> Driver:
    from td3sweep.assemble.environment import observed_sizes, random_bounds
    from td3sweep.collect.drivers import CONSTANT, AutopilotDriver, Constant, Pid, Random

    if policy in ON_CARLA:
        if settings.env.name != "carla":
            raise UserError(f"--policy {policy} with env={settings.env.name}: {ON_CARLA[policy]}; take random")
        return Pid() if policy == "pid" else AutopilotDriver()
    size = observed_sizes(settings)[1]
    if policy == "constant":
        return Constant((CONSTANT + (0.0,) * size)[:size])
    return Random(*random_bounds(settings, size))


def _default_out(policy: str, path: Path | None, step: int | None, overrides: list[str], recorded: bool) -> Path:
    """Inside the run it evaluates, a baseline's below ``runs``; what is driven elsewhere has a place of its own."""
    name = (policy if step is None else f"step-{step:012}") + ("-recorded" if recorded else "") + _suffix(overrides)
    if path is None:
        return Path("runs") / "evaluation" / name
    run = path if path.is_dir() else path.resolve().parent.parent
    return run / "evaluation" / name


def _suffix(overrides: list[str]) -> str:
    """The overrides as the end of a file's name; a hash tells apart what is too long or has other characters."""
    if not overrides:
        return ""
    words = ",".join(overrides)
    safe = re.sub(r"[^\w.,=+-]", "_", words, flags=re.ASCII)[:LONGEST]
    return f"-{safe}" if safe == words else f"-{safe}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m td3sweep.evaluate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="How well does it drive? The same seeds and routes for every driver, none of them trained on,\n"
        "without exploration noise: metrics with 95 % intervals, and a picture and a video of each episode.",
        epilog="examples:\n"
        "  python -m td3sweep.evaluate runs/drive/2026-11-24_12-00-00                 its newest checkpoint\n"
        "  python -m td3sweep.evaluate RUN/checkpoints/best.pt                   the weights of its best evaluation\n"
        "  python -m td3sweep.evaluate RUN/checkpoints/best.pt env.map=StandInRing   elsewhere\n"
        "  python -m td3sweep.evaluate --policy pid RUN                              a baseline on the run's routes\n"
        "  python -m td3sweep.evaluate --policy random env.map=StandInTown           a baseline without a run\n"
        "  python -m td3sweep.evaluate --policy pid --record DIR                     demonstrations for a training\n\n"
        "Exit codes: 0 done, 1 the simulator failed, 2 a fault in what was asked. docs/evaluation.md has each metric.",
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="RUN|CHECKPOINT KEY=VALUE", help="a run directory or a checkpoint in one, then "
        "overrides of its settings; a baseline does with overrides alone")  # fmt: skip
    add("--policy", choices=POLICIES, default="checkpoint", help="who drives: the checkpoint; pid: pure pursuit and a "
        "speed controller that know the route; autopilot: CARLA's Traffic Manager; constant: straight on; random: as "
        "in a warm-up")  # fmt: skip
    add("--episodes", type=_count, default=20, metavar="N", help="20")
    add("--out", type=Path, metavar="DIR", help="where to write; RUN/evaluation/step-N, or runs/evaluation/POLICY, "
        "and the overrides at its end")  # fmt: skip
    add("--json", action="store_true", help="print evaluation.json instead of the table")
    add("--video", action=argparse.BooleanOptionalAction, default=True, help="film each episode (on)")
    add("--record", type=Path, metavar="DIR", help="also keep each episode in DIR, which is new or empty, for a "
        "training with demonstrations=DIR; on seeds of their own")  # fmt: skip
    add("--explain", action="store_true", help="also show what the policy looked at in the first episode (needs "
        "pip install 'td3sweep[explain]')")  # fmt: skip
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of episodes from 1 to 10000")
    return int(text)


if __name__ == "__main__":
    main()
