"""The door of ``python -m td3sweep.gates [overrides]``: one run, judged at every gate, extended only if it passed."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads would take the simulator's core
os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra must raise, so that one line can be made of it

from td3sweep.config.compose import COMPOSITION_ERRORS, chooses, compose_settings, words_of
from td3sweep.config.failures import Parser, explain_failure, refuse
from td3sweep.config.settings import Settings
from td3sweep.errors import SimulatorError, UserError
from td3sweep.gates.ladder import Climb, GateJudgement, climb
from td3sweep.gates.show import closing, print_judgement
from td3sweep.record.console import console_log, say
from td3sweep.record.rundir import RunDirectory
from td3sweep.training.run import STOPPED_BY_MONITOR, run

GATES = (5_000, 50_000, 100_000, 500_000)
FAILED = STOPPED_BY_MONITOR  # the same code: what the monitor found ended it
FAR = 10**9  # steps until each gate's own take their place
NOT_HERE = {  # keys that a run takes and gates decide
    "steps": "gates say how far the run goes; give --gates",
    "resume": "the same command with the same --dir goes on by itself; drop it",
    "hydra.run.dir": "give --dir",
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 all gates passed, 3 one failed, 1 the simulator, 2 what was asked."""
    try:
        options = _parser().parse_intermixed_args(arguments)
        settings = _settings(options.overrides, options.gates)
        path = options.dir or Path("runs") / settings.name / "gates" / f"seed-{settings.seed}"
        done = climb(settings, options.gates, path, run, lambda judgement: _tell(judgement, path))
        _close(done, options.gates, path)
    except (UserError, SimulatorError, OSError, ValueError, *COMPOSITION_ERRORS) as error:
        refuse(*explain_failure(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(done.signalled if done.signalled is not None else FAILED if done.failed is not None else 0)


def _settings(overrides: list[str], gates: list[int]) -> Settings:
    """Checked settings of the run; its monitor ends what no gate would let pass, unless told not to."""
    named = [word.partition("=")[0].lstrip("+~") for word in overrides]
    for key, remedy in NOT_HERE.items():
        if key in named:
            raise UserError(f"{overrides[named.index(key)]}: {remedy}")
    stop = [] if chooses("monitor", overrides) else ["monitor=stop"]
    settings = compose_settings([*overrides, *stop, f"steps={FAR}"])
    if settings.monitor.name == "off":
        raise UserError("monitor=off: gates are judged by what the monitor finds; choose monitor=stop or monitor=warn")
    if asked := words_of(("space", "sweep"), overrides):
        raise UserError(f"{asked[0]}: it says how a multirun searches; gates are climbed by one run: drop it")
    if settings.warmup >= gates[0]:
        raise UserError(
            f"--gates {gates[0]} with warmup={settings.warmup}: nothing is learnt by then; "
            "raise the first gate or lower warmup"
        )
    return settings


def _tell(judgement: GateJudgement, path: Path) -> None:
    """Show a judgement, and keep it in the run's console.log."""
    with console_log(RunDirectory(path).console) as console:
        print_judgement(judgement, console)


def _close(done: Climb, gates: list[int], path: Path) -> None:
    with console_log(RunDirectory(path).console) as console:
        for line in closing(done, gates, path):
            say(console, line)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m td3sweep.gates",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train to a gate, judge the run there rule by rule, and train on only if it passed.\n"
        "Repeated, the command goes on where it was; a gate that was judged is read from DIR/gates.json.",
        epilog="examples:\n"
        "  python -m td3sweep.gates experiment=phase1                        5,000, 50,000, 100,000 and 500,000 steps\n"
        "  python -m td3sweep.gates experiment=phase1 --gates 5000           the 5,000-step test alone\n"
        "  python -m td3sweep.gates experiment=phase1 wiring=crossed         fails the first gate: d0 names H6\n"
        "  python -m td3sweep.gates experiment=phase2 seed=1 --dir runs/it   in a directory of yours\n\n"
        "The monitor ends a run that no gate would let pass (monitor=stop); monitor=warn trains to the gate first.\n"
        "Exit codes: 0 all gates passed, 3 one failed, 2 a fault in what was asked, 1 the simulator failed, 130/143\n"
        "after SIGINT/SIGTERM (checkpointed). docs/gates.md has every rule.",
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="the same overrides as `python -m td3sweep`, less steps=")
    add("--gates", type=_gates, default=list(GATES), metavar="N,N,...", help="environment steps, ascending "
        f"({','.join(map(str, GATES))})")  # fmt: skip
    add("--dir", type=Path, metavar="DIR", help="the run's directory (runs/NAME/gates/seed-SEED)")
    return parser


def _gates(text: str) -> list[int]:
    example = "such as 5000,50000"
    words = text.split(",")
    wrong = next((word for word in words if not word.strip().isdigit() or int(word) < 1), None)
    if wrong is not None:
        raise argparse.ArgumentTypeError(f"{wrong!r} in {text} is not a number of steps; give numbers {example}")
    gates = [int(word) for word in words]
    for before, after in itertools.pairwise(gates):
        if after <= before:
            raise argparse.ArgumentTypeError(
                f"{after} in {text} does not exceed {before}; give them ascending, {example}"
            )
    return gates


if __name__ == "__main__":
    main()
