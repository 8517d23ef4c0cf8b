"""What an engine refuses before it asks any server."""

import sys

import pytest

from td3sweep.errors import UserError
from td3sweep.sweep.engines.ray import RayEngine
from td3sweep.sweep.engines.slurm import SlurmEngine

SLURM = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "exclude", "gres", "gpus_per_node", "mem_gb")),
    "timeout_min": 5,
    "cpus_per_task": 1,
    "signal_delay_s": 90,
    "max_num_timeout": 3,
    "setup": [],
    "additional_parameters": {},
}
RAY = {"address": None, "num_cpus": 1, "num_gpus": 0, "init": {}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timeout_min", 0), ("cpus_per_task", 1.5), ("signal_delay_s", "90s"), ("max_num_timeout", -1), ("mem_gb", 0),
        ("setup", "module load cuda"),
    ],
)  # fmt: skip
def test_slurm_values(tmp_path, key, value):
    with pytest.raises(UserError, match=rf"^hydra\.launcher\.{key}={value}: give a [^\n]+$"):
        SlurmEngine(directory=tmp_path, width=1, **{**SLURM, key: value})


@pytest.mark.parametrize(("key", "value"), [("num_cpus", -1), ("num_gpus", 1.5), ("num_gpus", "all")])
def test_ray_values(tmp_path, key, value):
    with pytest.raises(UserError, match=rf"^hydra\.launcher\.{key}={value}: give a [^\n]+$"):
        RayEngine(directory=tmp_path, width=1, **{**RAY, key: value})


@pytest.mark.parametrize(("engine", "values", "package"), [(SlurmEngine, SLURM, "submitit"), (RayEngine, RAY, "ray")])
def test_a_missing_package_names_the_remedy(tmp_path, monkeypatch, engine, values, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf"package {package} is missing; run `pip install 'td3sweep\[{engine.label}\]'`"
    ):
        engine(directory=tmp_path, width=1, **values)


def test_a_ray_that_does_not_answer(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"^hydra\.launcher\.address=127\.0\.0\.1:1: no Ray there, .*refused"):
        RayEngine(directory=tmp_path, width=1, **{**RAY, "address": "127.0.0.1:1"})
