"""Every fault that can be asked for is named, and nothing else is."""

import itertools

import pytest
import torch
from patients import audited, finding, patient

from td3sweep.doctor.injected import FAULTS
from td3sweep.names import Fault, words_of


def named(*faults):
    return sorted({FAULTS[fault][0] for fault in faults})


def test_settings_offer_exactly_the_faults_there_are():
    assert words_of(Fault) == ("none", *FAULTS)
    assert {hypothesis for hypothesis, _ in FAULTS.values()} >= {f"H{i}" for i in range(1, 7)}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_doctor_names_exactly_the_fault(fault):
    assert audited(patient(faults=[fault])).faults == named(fault)


@pytest.mark.parametrize("clip", ["per_module", "value"])
@pytest.mark.parametrize("fault", ["h1", "h2", "h5", "sum_of_norms"])
def test_faults_of_the_clip_are_told_apart_under_every_clip(fault, clip):
    assert audited(patient(faults=[fault], clip=clip), clip=clip).faults == named(fault)


@pytest.mark.parametrize("clip", ["joint", "per_module", "value"])
def test_the_two_false_norms_are_told_apart_by_their_values(clip):
    told = {
        fault: finding(audited(patient(faults=[fault], clip=clip), clip=clip), "H5").evidence
        for fault in ("h5", "sum_of_norms")
    }
    for fault, mine, other in (
        ("h5", "the norm before clipping", "the sum of per-tensor norms"),
        ("sum_of_norms", "the sum of per-tensor norms", "the norm before clipping"),
    ):
        assert f"metrics log {mine}" in told[fault]
        assert other not in told[fault]


@pytest.mark.parametrize(
    "pair",
    [("h1", "h6"), ("h2", "h3"), ("h2", "sum_of_norms"), ("h4", "stale_target"), ("h3", "lr_x100")],
    ids="+".join,
)
def test_two_faults_at_once_are_both_named(pair):
    assert sorted(audited(patient(faults=pair)).faults) == named(*pair)


@pytest.mark.slow
@pytest.mark.parametrize("pair", list(itertools.combinations(FAULTS, 2)), ids="+".join)
def test_every_pair_of_faults_is_named(pair):
    # Where nothing is clipped, no part is seen left out, but the joint norm that is logged still lacks the CNN; and
    # the norms before and after clipping are one number, so that swapping them is no lie.
    special = {("h1", "h2"): ["H1", "H5"], ("h1", "h5"): ["H1"]}
    expected = special.get(pair, named(*pair))
    assert sorted(audited(patient(faults=pair)).faults) == expected


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["none", "gru", "lstm"])
@pytest.mark.parametrize("cnn", ["nature", "pooled"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_on_every_network(fault, cnn, memory):
    agent = patient(faults=[fault], cnn=cnn, memory=memory, features=512)
    assert audited(agent, memory=memory).faults == named(fault)


@pytest.mark.slow
@pytest.mark.parametrize("clip", ["per_module", "value", "off"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named_under_every_clip(fault, clip):
    if clip == "off" and fault in ("h1", "h2", "h5"):
        pytest.skip("refused by the settings: there is no clip to break")
    assert audited(patient(faults=[fault], clip=clip), clip=clip).faults == named(fault)


def test_wiring_crossed_is_h6_and_only_that_on_any_features():
    for changes in ({}, {"feature_norm": "layernorm"}, {"trunk": 16}, {"memory": "gru"}):
        agent = patient(wiring="crossed", **changes)
        audit = audited(agent, memory=changes.get("memory", "none"))
        assert audit.faults == ["H6"]
        assert "actor/cnn" in finding(audit, "H6").evidence


def test_a_faulty_agent_still_trains():
    """Faults are silent: none of them ends in an exception, or a run with it would prove nothing."""
    from patients import batch_for

    for fault in FAULTS:
        agent = patient(faults=[fault])
        batch = batch_for(agent)
        for _ in range(4):
            metrics = agent.update(batch)
        assert torch.isfinite(metrics["loss/critic"])
