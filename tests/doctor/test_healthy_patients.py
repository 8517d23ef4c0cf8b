"""A healthy build is called healthy, with every hypothesis measured."""

import pytest
from patients import audited, finding, patient

MEMORIES, CLIPS = ["none", "gru", "lstm"], ["joint", "per_module", "value", "off"]


def assert_healthy(audit):
    assert audit.faults == []
    assert [found.name for found in audit.findings if found.holds is None] == []


@pytest.mark.parametrize("clip", CLIPS)
def test_every_clip(clip):
    assert_healthy(audited(patient(clip=clip), clip=clip))


@pytest.mark.parametrize("memory", ["gru", "lstm"])
def test_every_memory(memory):
    assert_healthy(audited(patient(memory=memory), memory=memory))


def test_pooled():
    assert_healthy(audited(patient(cnn="pooled")))


@pytest.mark.parametrize(
    "changes",
    [
        {"wiring": "critic_only"},
        {"loss": "huber", "aug": "shift4", "pre_tanh_penalty": 0.01, "weight_decay": 0.01},
        {"trunk": 16, "feature_norm": "layernorm", "actor_init_scale": 0.01},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_every_variant(changes):
    assert_healthy(audited(patient(**changes)))


@pytest.mark.slow
@pytest.mark.parametrize("wiring", ["separate", "critic_only"])
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("cnn", ["nature", "pooled"])
def test_the_whole_matrix(cnn, memory, clip, wiring):
    assert_healthy(
        audited(patient(cnn=cnn, memory=memory, clip=clip, wiring=wiring, features=512), clip=clip, memory=memory)
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_any_seed(seed):
    assert_healthy(audited(patient(features=512, seed=seed)))
    assert audited(patient(features=512, seed=seed, wiring="crossed")).faults == ["H6"]


def test_the_evidence_holds_measured_numbers():
    """20 critic tensors at 100 times their limit of 10 each: sqrt(20) x 1000 before, 10 after, sqrt(20) x 10 summed."""
    audit = audited(patient())
    assert "L2 4472 after an amplified backward, 10 stepped (joint limit 10)" in finding(audit, "H1").evidence
    assert "logs 10: L2 10, sum of norms 44.72, L2 before clipping 4472" in finding(audit, "H5").evidence
    assert "34 trainable tensors" in finding(audit, "H4").evidence
    assert "gradient past the action: 0 " in finding(audit, "H6").evidence
    assert "move 0.01 to 0.01 (asked 0.01)" in finding(audit, "stale_target").evidence
