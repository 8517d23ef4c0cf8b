"""The count of multiply-accumulates: by hand for the layers, by torch's own counter for an update."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.performance.learners import our_agent, our_replay
from benchmarks.performance.macs import encoder_macs, update_macs
from td3sweep.nets import NatureCNN, PooledCNN


def test_layers_by_hand():
    # 8x8 over 4 channels into 32 filters at 20 x 20 places; then 4x4x32 -> 64 at 9 x 9; 3x3x64 -> 64 at 7 x 7.
    first = 20 * 20 * 32 * (8 * 8 * 4)
    rest = 9 * 9 * 64 * (4 * 4 * 32) + 7 * 7 * 64 * (3 * 3 * 64)
    assert first == 3_276_800
    assert encoder_macs(NatureCNN()) == (first + rest + 3136 * 512, first)


def test_pooling_halves_the_places():
    first = 77 * 77 * 32 * (8 * 8 * 4)
    rest = 35 * 35 * 64 * (4 * 4 * 32) + 15 * 15 * 64 * (3 * 3 * 64)
    assert encoder_macs(PooledCNN()) == (first + rest + 3136 * 512, first)


def test_an_update_does_what_the_formula_says():
    agent, replay = our_agent("nature", "fp32"), our_replay(50)
    with FlopCounterMode(display=False) as counter:
        for _ in range(2):
            agent.update(replay.sample(2))
    assert counter.get_total_flops() / 2 / 2 == pytest.approx(update_macs(agent, 2), rel=1e-6)
