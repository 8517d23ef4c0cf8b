"""Q bias by hand."""

import pytest

from td3sweep.monitor.bias import Bias


def test_value_less_discounted_return():
    bias = Bias(0.5, 10.0)
    for reward in (4.0, 2.0, 8.0):
        bias.reward(reward)
    assert bias.bias() == pytest.approx(10 - (4 + 1 + 2))


def test_an_episode_cut_off_is_completed_by_its_last_value():
    bias = Bias(0.5, 10.0)
    bias.reward(4.0)
    bias.reward(2.0)
    assert bias.bias(8.0) == pytest.approx(10 - 5 - 2)


def test_without_a_value_there_is_no_bias_and_a_saved_one_goes_on():
    assert Bias(0.9).bias() is None
    first = Bias(0.9, 3.0)
    first.reward(1.0)
    second = Bias(0.9)
    second.load_state_dict(first.state_dict())
    for bias in (first, second):
        bias.reward(1.0)
    assert first.bias() == second.bias() == pytest.approx(3 - 1.9)
