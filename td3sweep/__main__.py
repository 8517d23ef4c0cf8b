"""The door: compose, run, return the objective; map every ending to its exit code."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads would take the simulator's core
os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra must raise, so that one line can be made of it

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from td3sweep.compose import COMPOSITION_ERRORS, config_directory, explain, register, to_settings
from td3sweep.errors import SimulatorError, UserError
from td3sweep.run import Outcome, run

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
FULL = (errno.ENOSPC, errno.EDQUOT)

outcomes: list[Outcome] = []
failures: list[Exception] = []


@hydra.main(version_base="1.3", config_path=config_directory(), config_name="config")
def job(config: DictConfig) -> float | None:
    """One run. Its outcome or failure is kept, since Hydra drops the one and prints several lines for the other."""
    try:
        outcome = run(to_settings(config), Path(HydraConfig.get().runtime.output_dir))
    except (UserError, SimulatorError, OSError) as error:
        failures.append(error)
        return None
    outcomes.append(outcome)
    return outcome.objective


def main() -> None:
    """Run the command line and exit with the contract's code."""
    register()
    try:
        job()
    except (*COMPOSITION_ERRORS, OSError) as error:
        failures.append(error)
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        refuse(
            "a config group cannot be null; choose one of its options (--help lists them)",
            UserError.exit_code,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    for failure in failures:
        refuse(*explain_failure(failure))
    # A multirun that went through is done, whatever the monitor stopped: each run's summary tells.
    sys.exit(outcomes[0].exit_code if len(outcomes) == 1 else 0)


def explain_failure(error: Exception) -> tuple[str, int]:
    """One line and the exit code; a fault that nobody foresaw keeps its traceback."""
    if isinstance(error, (UserError, SimulatorError)):
        return str(error), error.exit_code
    if isinstance(error, COMPOSITION_ERRORS):
        return explain(error), UserError.exit_code
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        return f"hydra.run.dir: {error.strerror}: {error.filename}; choose a directory you can write to", 2
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            f"{error.strerror}: {error.filename or 'the run directory'}; free space, then the same command resumes",
            1,
        )
    raise error


def refuse(line: str, code: int) -> None:
    """Print one line and exit."""
    print(f"td3sweep: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
