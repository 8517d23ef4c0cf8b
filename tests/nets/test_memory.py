"""Memories: sizes, states, burn-in."""

import pytest
import torch

from td3sweep.nets import build_memory

KINDS = [("none", 0), ("gru", 48), ("lstm", 256)]


@pytest.mark.parametrize(("kind", "hidden", "count"), [("none", 0, 0), ("gru", 48, 80_928), ("lstm", 256, 788_480)])
def test_parameter_counts_at_input_512(kind, hidden, count):
    assert sum(p.numel() for p in build_memory(kind, 512, hidden).parameters()) == count


def test_state_is_flat_and_covers_the_cell():
    assert build_memory("none", 512, 0).state_size == 0
    assert build_memory("gru", 512, 48).state_size == 48
    assert build_memory("lstm", 512, 256).state_size == 512


@pytest.mark.parametrize(("kind", "hidden"), KINDS)
def test_step_by_step_equals_the_whole_sequence(kind, hidden):
    torch.manual_seed(0)
    memory = build_memory(kind, 512, hidden)
    x, state = torch.randn(3, 6, 512), torch.randn(3, memory.state_size)
    outputs, final = memory(x, state)
    assert outputs.shape == (3, 6, memory.features)
    stepped = []
    for step in range(6):
        y, state = memory(x[:, step : step + 1], state)
        stepped.append(y)
    assert torch.allclose(torch.cat(stepped, dim=1), outputs, atol=1e-6)
    assert torch.allclose(state, final, atol=1e-6)


@pytest.mark.parametrize(("kind", "hidden"), KINDS[1:])
def test_a_skip_appends_the_input_and_changes_nothing_else(kind, hidden):
    torch.manual_seed(0)
    plain, skipping = build_memory(kind, 512, hidden), build_memory(kind, 512, hidden, skip=True)
    skipping.memory.load_state_dict(plain.state_dict())
    assert (skipping.state_size, skipping.features) == (plain.state_size, hidden + 512)
    x, state = torch.randn(3, 4, 512), torch.randn(3, plain.state_size)
    outputs, final = skipping(x, state)
    assert torch.equal(outputs[..., :hidden], plain(x, state)[0])
    assert torch.equal(outputs[..., hidden:], x)
    assert torch.equal(final, plain(x, state)[1])
    counts = torch.tensor([0, 2, 4])
    assert torch.equal(skipping.burn_in(x, state, counts), plain.burn_in(x, state, counts))


@pytest.mark.parametrize("skip", [False, True])
def test_a_trunk_bounds_what_memory_and_skip_are_fed(skip):
    torch.manual_seed(0)
    memory = build_memory("gru", 512, 48, trunk=20, skip=skip)
    x, state = 1e4 * torch.randn(2, 3, 512), torch.zeros(2, 48)
    outputs, _ = memory(x, state)
    assert (memory.features, outputs.shape[-1]) == (68, 68) if skip else (48, 48)
    squeezed = memory.trunk(x)
    assert squeezed.shape == (2, 3, 20)
    assert squeezed.abs().max() <= 1.0
    if skip:
        assert torch.equal(outputs[..., 48:], squeezed)


def test_no_memory_has_nothing_to_skip():
    assert build_memory("none", 512, 0, trunk=50, skip=True).features == 512


def test_gru_step_by_hand():
    """One unit, all weights 1 and biases 0, x = 0, h = .5: r = z = s(.5), n = tanh(r h), h' = (1-z) n + z h."""
    memory = build_memory("gru", 1, 1)
    for name, parameter in memory.named_parameters():
        torch.nn.init.constant_(parameter, 0.0 if "bias" in name else 1.0)
    y, state = memory(torch.zeros(1, 1, 1), torch.tensor([[0.5]]))
    z = 0.6224593  # s(.5)
    expected = (1 - z) * 0.3015554 + z * 0.5  # tanh(.6224593 * .5) = .3015603
    assert state.item() == pytest.approx(expected, abs=1e-6)
    assert y.item() == state.item()


@pytest.mark.parametrize(("kind", "hidden"), KINDS[1:])
def test_burn_in_runs_only_the_real_steps_of_each_row(kind, hidden):
    torch.manual_seed(0)
    memory = build_memory(kind, 512, hidden)
    x, state = torch.randn(3, 4, 512), torch.randn(3, memory.state_size)
    burnt = memory.burn_in(x, state, torch.tensor([0, 2, 4]))
    assert torch.equal(burnt[0], state[0])
    assert torch.allclose(burnt[1], memory(x[1:2, 2:], state[1:2])[1][0], atol=1e-6)
    assert torch.allclose(burnt[2], memory(x[2:3], state[2:3])[1][0], atol=1e-6)
