"""The loop's numbers, by hand."""

import math

import pytest
from toy_trainer import schedule_of

from td3sweep.collect.schedule import Acting

RANDOM, DEMONSTRATOR, POLICY = Acting.RANDOM, Acting.DEMONSTRATOR, Acting.POLICY


def test_who_acts():
    schedule = schedule_of(random_steps=2, warmup=5, steps=9)
    assert [schedule.acting(step) for step in range(7)] == [RANDOM] * 2 + [DEMONSTRATOR] * 3 + [POLICY] * 2
    assert [schedule.of_one_kind_until(step) for step in range(9)] == [2, 2, 5, 5, 5, 9, 9, 9, 9]


def test_nobody_acts_beyond_the_last_step():
    schedule = schedule_of(random_steps=2, warmup=5, steps=4)
    assert [schedule.of_one_kind_until(step) for step in (0, 2)] == [2, 4]
    assert schedule_of(random_steps=8, warmup=8, steps=4).of_one_kind_until(0) == 4


def test_without_a_demonstrator_all_of_the_warmup_is_random():
    schedule = schedule_of(random_steps=5, warmup=5)
    assert [schedule.acting(step) for step in (0, 4, 5)] == [RANDOM, RANDOM, POLICY]


def test_noise_falls_up_to_the_horizon_and_stays():
    """From .3 at the warm-up's end, 10 steps, to .1 at 30: .01 a step."""
    schedule = schedule_of(warmup=10, horizon=30, steps=99, exploration_noise=(0.3, 0.1), noise_steps=None)
    assert [schedule.noise(step) for step in (10, 11, 20, 30, 31, 98)] == pytest.approx([0.3, 0.29, 0.2, 0.1, 0.1, 0.1])


def test_noise_falls_over_the_steps_that_are_told():
    schedule = schedule_of(warmup=10, horizon=30, exploration_noise=(0.3, 0.1), noise_steps=5)
    assert [schedule.noise(step) for step in (10, 11, 15, 30)] == pytest.approx([0.3, 0.26, 0.1, 0.1])


def test_noise_of_a_run_that_is_all_warmup():
    schedule = schedule_of(warmup=30, horizon=30, exploration_noise=(0.3, 0.1), noise_steps=None)
    assert math.isclose(schedule.noise(30), 0.3)


def test_updates():
    schedule = schedule_of(warmup=10, updates_per_step=0.3, critic_only_updates=7)
    assert [schedule.updates(step) for step in (0, 9, 10, 13, 14, 20)] == [0, 0, 7, 7, 8, 10]  # 10 * .3 are 3


def test_rates_fall_over_the_last_half_of_the_horizons_updates():
    """8 + 32 updates up to the horizon: from the 20th on they fall, to .2 at the 40th: .04 per update."""
    schedule = schedule_of(warmup=8, horizon=40, steps=99, critic_only_updates=8, updates_per_step=1.0, lr_final=0.2)
    shares = [schedule.rate_share(update) for update in (0, 20, 21, 30, 39, 40, 90)]
    assert shares == pytest.approx([1.0, 1.0, 0.96, 0.6, 0.24, 0.2, 0.2])
    assert shares[:2] == [1.0, 1.0]


def test_rates_stay_where_all_of_them_is_left():
    schedule = schedule_of(lr_final=1.0)
    assert {schedule.rate_share(update) for update in range(60)} == {1.0}
    assert schedule_of(warmup=40, horizon=40, updates_per_step=0.0, lr_final=0.5).rate_share(0) == 1.0


def test_cloning_is_all_there_is_until_the_actor_learns_and_falls_to_its_floor():
    schedule = schedule_of(critic_only_updates=6, cloning=(0.2, 4))
    shares = [schedule.cloning_share(update) for update in (0, 5, 6, 7, 8, 9, 10, 99)]
    assert shares == pytest.approx([1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert {schedule_of(critic_only_updates=6).cloning_share(update) for update in range(9)} == {0.0}
