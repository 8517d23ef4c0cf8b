"""kill -9 in the middle of a run or of writing a checkpoint: the same command ends as if nothing had happened."""

import json

import pytest
import torch

from benchmarks.robustness.kill_9 import COMBINATIONS, TASK, compare, torment
from td3sweep.training.run import run


@pytest.mark.slow
@pytest.mark.parametrize(("cnn", "recurrent"), COMBINATIONS)
def test_a_killed_run_ends_bit_for_bit_as_the_undisturbed_one(tmp_path, cnn, recurrent):
    result = torment(cnn, recurrent, tmp_path, kills=2, steps=100)
    assert result.different == []
    assert result.while_writing >= 1
    assert 0 < max(result.resumed_at) < 100


@pytest.mark.slow
def test_a_difference_is_seen(tmp_path, settings):
    for name in ("one", "other"):
        run(settings(*TASK, "steps=72"), tmp_path / name)
    assert compare(tmp_path / "one", tmp_path / "other") == []
    checkpoint = tmp_path / "other/checkpoints/step-000000000072.pt"
    payload = torch.load(checkpoint, weights_only=True)
    payload["agent"]["actor"]["head.mlp.0.bias"][3] += 1e-7
    torch.save(payload, checkpoint)
    assert compare(tmp_path / "one", tmp_path / "other") == [".agent.actor.head.mlp.0.bias"]
    rows = (tmp_path / "other/metrics.jsonl").read_text().splitlines()
    (tmp_path / "other/metrics.jsonl").write_text("\n".join([*rows[:-1], json.dumps({"env_step": 1})]) + "\n")
    assert compare(tmp_path / "one", tmp_path / "other") == [".agent.actor.head.mlp.0.bias", "metrics.jsonl"]
