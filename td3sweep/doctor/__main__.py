"""The door of `python -m td3sweep.doctor [overrides] [--json]`: build the configuration, audit its update."""

from __future__ import annotations

import argparse
import os
import sys

os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra must raise, so that one line can be made of it

from rich.console import Console

from td3sweep.assemble.environment import observed_sizes
from td3sweep.assemble.learner import audit_agent, build_agent
from td3sweep.config.compose import COMPOSITION_ERRORS, compose_settings
from td3sweep.config.failures import Parser, explain_failure, refuse
from td3sweep.config.settings import Settings
from td3sweep.doctor.audit import Audit
from td3sweep.doctor.report import as_json, print_table
from td3sweep.errors import SimulatorError, UserError

FAULTY = 3


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 healthy, 3 faulty, 2 a fault in what was asked."""
    try:
        options = _parser().parse_args(arguments)
        settings = compose_settings(options.overrides)
        audit = _audit(settings)
    except (UserError, SimulatorError, OSError, ValueError, *COMPOSITION_ERRORS) as error:
        refuse(*explain_failure(error))
    except KeyboardInterrupt:
        sys.exit(130)
    if options.json:
        print(as_json(audit))
    else:
        print_table(audit, Console(), " ".join(["doctor", *options.overrides]))
    sys.exit(0 if audit.healthy else FAULTY)


def _audit(settings: Settings) -> Audit:
    import torch

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    sizes = observed_sizes(settings)
    audit: Audit = audit_agent(settings, build_agent(settings, *sizes), *sizes)
    return audit


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m td3sweep.doctor",
        description="Is the update of this configuration wired as it claims? Real updates on a small batch, watched.",
        epilog="Exit codes: 0 healthy, 3 faulty, 2 a fault in what was asked. docs/doctor.md says what is measured.",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="the same overrides as `python -m td3sweep`")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    return parser


if __name__ == "__main__":
    main()
