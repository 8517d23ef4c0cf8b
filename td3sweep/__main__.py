"""The door: compose, run, return the objective; map every ending to its exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads would take the simulator's core
os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra must raise, so that one line can be made of it

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from td3sweep.compose import COMPOSITION_ERRORS, config_directory, register, to_settings
from td3sweep.errors import SimulatorError, UserError
from td3sweep.failures import explain_failure, refuse, report
from td3sweep.run import Outcome, run

outcomes: list[Outcome] = []
failures: list[tuple[str, Exception]] = []  # in a multirun with the job's number


@hydra.main(version_base="1.3", config_path=config_directory(), config_name="config")
def job(config: DictConfig) -> float | None:
    """One run. Its outcome or failure is kept, since Hydra drops the one and prints several lines for the other."""
    hydra_config = HydraConfig.get()
    many = hydra_config.mode == RunMode.MULTIRUN
    try:
        settings = to_settings(config)
        if many and settings.resume:
            raise UserError(
                "resume=last with --multirun: a sweep has many runs; give hydra.sweep.dir=DIR to go on in it"
            )
        outcome = run(settings, Path(hydra_config.runtime.output_dir))
    except (UserError, SimulatorError, OSError) as error:
        failures.append((f"job {hydra_config.job.num}: " if many else "", error))
        return None
    outcomes.append(outcome)
    if many and outcome.interrupted:
        raise KeyboardInterrupt  # a signal ends the sweep, not only the run that caught it
    return outcome.objective


def main() -> None:
    """Run the command line and exit with the contract's code."""
    register()
    try:
        job()
    except (*COMPOSITION_ERRORS, OSError, ValueError) as error:
        failures.append(("", error))
    except KeyboardInterrupt:
        sys.exit(outcomes[-1].exit_code if outcomes and outcomes[-1].interrupted else 130)
    if failures:
        lines = [(where, *explain_failure(error)) for where, error in failures]
        for where, line, _ in lines[:-1]:
            report(where + line)
        refuse(lines[-1][0] + lines[-1][1], lines[0][2])
    # A multirun that went through is done, whatever the monitor stopped: each run's summary tells.
    sys.exit(outcomes[0].exit_code if len(outcomes) == 1 else 0)


if __name__ == "__main__":
    main()
