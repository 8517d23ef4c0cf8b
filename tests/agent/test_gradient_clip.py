"""Clip kinds on gradients with known norms: cnn (3, 4), head (12): joint 13, the sum of norms would be 19."""

import pytest
import torch
from torch import nn

from td3sweep.agent.gradients import clip_gradients


def parts():
    cnn = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    head = [nn.Parameter(torch.zeros(2))]
    cnn[0].grad, cnn[1].grad = torch.tensor([3.0]), torch.tensor([-4.0])
    head[0].grad = torch.tensor([12.0, 0.0])
    return {"cnn": cnn, "head": head}


def values(groups):
    return [p.grad.tolist() for group in groups.values() for p in group]


def numbers(metrics):
    return {key: value.item() for key, value in metrics.items()}


def test_joint():
    groups = parts()
    m = numbers(clip_gradients(groups, "joint", 6.5, "actor"))
    assert values(groups) == [pytest.approx([1.5]), pytest.approx([-2.0]), pytest.approx([6.0, 0.0])]
    assert m["grad/actor/cnn/before"] == 5.0
    assert m["grad/actor/head/before"] == 12.0
    assert m["grad/actor/joint/before"] == 13.0  # not 19 = 3 + 4 + 12
    assert m["grad/actor/joint/after"] == pytest.approx(6.5, rel=1e-6)
    assert m["grad/actor/cnn/after"] == pytest.approx(2.5, rel=1e-6)
    assert m["clip/actor/coefficient"] == pytest.approx(0.5, rel=1e-6)
    assert m["clip/actor/binding"] == 1.0


def test_joint_below_its_limit_does_nothing():
    groups = parts()
    m = numbers(clip_gradients(groups, "joint", 13.5, "critic"))
    assert values(groups) == [[3.0], [-4.0], [12.0, 0.0]]
    assert (m["clip/critic/binding"], m["clip/critic/coefficient"]) == (0.0, 1.0)
    assert m["grad/critic/joint/after"] == m["grad/critic/joint/before"] == 13.0


def test_joint_equals_torch():
    groups, reference = parts(), parts()
    clip_gradients(groups, "joint", 1.0, "actor")
    torch.nn.utils.clip_grad_norm_([p for group in reference.values() for p in group], 1.0)
    assert values(groups) == values(reference)


def test_per_module():
    groups = parts()
    m = numbers(clip_gradients(groups, "per_module", 6.0, "actor"))
    assert values(groups) == [[3.0], [-4.0], pytest.approx([6.0, 0.0])]
    assert m["grad/actor/cnn/after"] == 5.0
    assert m["grad/actor/head/after"] == pytest.approx(6.0)
    assert m["grad/actor/joint/after"] == pytest.approx(61**0.5)
    assert (m["clip/actor/binding"], m["clip/actor/coefficient"]) == (1.0, pytest.approx(0.5))


def test_value():
    groups = parts()
    m = numbers(clip_gradients(groups, "value", 3.5, "actor"))
    assert values(groups) == [[3.0], [-3.5], [3.5, 0.0]]
    assert m["grad/actor/head/after"] == 3.5
    assert m["grad/actor/max/after"] == 3.5
    assert m["clip/actor/binding"] == 1.0
    assert m["clip/actor/coefficient"] == pytest.approx((9 + 2 * 3.5**2) ** 0.5 / 13)


def test_off():
    groups = parts()
    m = numbers(clip_gradients(groups, "off", 0.1, "actor"))
    assert values(groups) == [[3.0], [-4.0], [12.0, 0.0]]
    assert (m["clip/actor/binding"], m["clip/actor/coefficient"]) == (0.0, 1.0)


@pytest.mark.parametrize("kind", ["joint", "per_module", "value", "off"])
def test_a_zero_gradient_is_no_nan(kind):
    groups = parts()
    for group in groups.values():
        for p in group:
            p.grad.zero_()
    metrics = clip_gradients(groups, kind, 1.0, "actor")
    assert all(value.isfinite() for value in metrics.values())
    assert numbers(metrics)["clip/actor/coefficient"] == 1.0


def test_a_nan_gradient_shows_in_the_norms():
    groups = parts()
    groups["head"][0].grad[0] = float("nan")
    m = numbers(clip_gradients(groups, "joint", 1.0, "actor"))
    assert m["grad/actor/head/before"] != m["grad/actor/head/before"]
    assert m["grad/actor/cnn/before"] == 5.0
