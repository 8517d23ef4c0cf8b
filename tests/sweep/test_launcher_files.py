"""conf/hydra/launcher: every file gives its engine what that asks for, and explains each value."""

import inspect
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import get_class

from td3sweep.config.compose import register
from td3sweep.config.presets import config_directory

SCRIPT = Path(__file__).parents[2] / "launchers/slurm/workers.sbatch"
FILES = sorted((Path(config_directory()) / "hydra/launcher").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_keys_are_the_engines(path):
    values = yaml.safe_load(path.read_text())
    engine = get_class(values["_target_"])
    asked = set(inspect.signature(engine).parameters) - {"directory", "width"}
    assert {key for key in values if not key.startswith("_")} == asked


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_is_explained(path):
    lines = path.read_text().splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if not line.startswith(("#", "_", " ")) and not before.startswith("# ")
    ]
    assert bare == []


@pytest.mark.parametrize(("own", "threads"), [([], "3"), (["hydra.launcher.threads=2"], "2")])
def test_a_detached_worker_gives_its_trial_the_jobs_cores_unless_told_otherwise(tmp_path, own, threads):
    python = tmp_path / "python"
    python.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    here = {**os.environ, "PYTHON": str(python), "SLURM_CPUS_PER_TASK": "3"}
    command = ["bash", str(SCRIPT), *own, "hydra.sweep.dir=/shared/sweep"]
    words = subprocess.run(command, env=here, check=True, capture_output=True, text=True).stdout.splitlines()
    register()
    with initialize_config_dir(config_directory(), version_base="1.3"):
        job = compose("config", overrides=words[words.index("--multirun") + 1 :], return_hydra_config=True)
    assert job.hydra.launcher.threads == int(threads)
