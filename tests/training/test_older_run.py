"""A run directory as version 0.1.0 wrote it on 2026-12-01 is still driven, reported and gone on with.

Its checkpoint is kept as names, shapes and numbers (`older/checkpoint.json`); its tensors, 60 MB, are zeros here.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from td3sweep.errors import UserError
from td3sweep.evaluate.saved import find, load_agent, saved_settings
from td3sweep.record.rundir import RunDirectory

OLDER = Path(__file__).parent / "older"
BEGUN = (
    *("recurrent=gru48", "steps=320", "warmup=300", "demonstrations.random_steps=60", "critic_only_updates=20"),
    *("eval_episodes=1", "log_every=5", "threads=1", "precision=fp32", "tracking=off"),
)


def built(said):
    """What `older/checkpoint.json` says, with zeros for tensors."""
    if not isinstance(said, dict):
        return said
    ((kind, what), *more) = said.items()
    if kind == "tensor":
        return torch.zeros(what, dtype=getattr(torch, dict(more)["dtype"]))
    if kind == "dict":
        return {key: built(value) for key, value in what}
    return {"list": list, "tuple": tuple}[kind](built(value) for value in what)


@pytest.fixture
def older(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(OLDER / "config.yaml", tmp_path)
    payload = built(json.loads((OLDER / "checkpoint.json").read_text()))
    for generator in ("acting_rng", "update_rng"):  # a generator's state cannot be zeros
        payload["agent"][generator] = torch.Generator().get_state()
    torch.save(payload, tmp_path / "checkpoints" / "step-000000000320.pt")
    return tmp_path


def test_its_checkpoint_drives(older):
    checkpoint, config = find(older)
    settings = saved_settings(config, [])
    assert (settings.recurrent.name, settings.recurrent.hidden, settings.env.map) == ("gru", 48, "StandInTown")
    agent, step = load_agent(settings, checkpoint)
    assert (step, agent.updates) == (320, 40)
    assert all(not parameter.any() for parameter in agent.actor.parameters())


def test_the_same_command_goes_on_and_another_is_refused(older, settings):
    RunDirectory(older).agree(settings(*BEGUN))
    RunDirectory(older).agree(settings(*BEGUN, "steps=400", "eval_every=50"))
    with pytest.raises(UserError, match="n_step"):
        RunDirectory(older).agree(settings(*BEGUN, "n_step=1"))
