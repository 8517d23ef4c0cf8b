"""The door: compose, run, return the objective; map every ending to its exit code."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle OpenMP threads would take the simulator's core
os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra must raise, so that one line can be made of it

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from td3sweep.config.compose import COMPOSITION_ERRORS, register, to_settings, words_of
from td3sweep.config.failures import explain_failure, refuse
from td3sweep.config.presets import config_directory
from td3sweep.errors import SimulatorError, UserError
from td3sweep.training.run import Outcome, run

outcomes: list[Outcome] = []
failures: list[Exception] = []


@hydra.main(version_base="1.3", config_path=config_directory(), config_name="config")
def job(config: DictConfig) -> float | None:
    """One run. Its outcome or failure is kept, since Hydra drops the one and prints several lines for the other."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        settings = to_settings(config)
        if asked := words_of(("space", "sweep"), hydra_config.overrides.task):  # an experiment may bring its own along
            raise UserError(f"{asked[0]}: it says how a multirun searches; add --multirun, or drop it")
        outcomes.append(run(settings, folder))
    except (UserError, SimulatorError, OSError) as error:
        failures.append(error)
        with suppress(OSError):
            folder.rmdir()  # Hydra made it; with anything in it, it stays
        return None
    return outcomes[-1].objective


def main() -> None:
    """Run the command line and exit with the contract's code. With --multirun Hydra calls the sweeper, not the job."""
    register()
    try:
        job()
    except (*COMPOSITION_ERRORS, UserError, SimulatorError, OSError, ValueError) as error:
        failures.append(error)
    except KeyboardInterrupt:
        sys.exit(130)
    if failures:
        refuse(*explain_failure(failures[0]))
    sys.exit(outcomes[0].exit_code if outcomes else 0)


if __name__ == "__main__":
    main()
