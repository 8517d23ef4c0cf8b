"""Sweep words become distributions, and points of the study become overrides again."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from td3sweep.errors import UserError
from td3sweep.sweep.space import parse_space

LOG_GAMMA = "one_minus(tag(log, interval(1e-4, 0.1)))"


def one(argument):
    space, fixed = parse_space({}, [argument])
    assert not fixed
    return space.parameters[0]


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("interval(0.1, 0.5)", FloatDistribution(0.1, 0.5)),
        ("tag(log, interval(1e-5, 1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("int(interval(1, 9))", IntDistribution(1, 9)),
        ("range(1, 5)", IntDistribution(1, 5)),  # as in the stock plugin, the stop is part of it
        ("range(16, 64, 16)", IntDistribution(16, 64, step=16)),
        ("range(0.1, 0.5, 0.2)", FloatDistribution(0.1, 0.5, step=0.2)),
        ("choice(16, 32)", CategoricalDistribution([16, 32])),
        ("nature,pooled", CategoricalDistribution(["nature", "pooled"])),
        ("null,50", CategoricalDistribution([None, 50])),
        (LOG_GAMMA, FloatDistribution(1e-4, 0.1, log=True)),
    ],
)
def test_a_word_becomes_a_distribution(word, distribution):
    assert one(f"x={word}").distribution == distribution


def test_a_complement_is_searched_by_its_distance_from_one():
    gamma = one(f"hyperparams.gamma={LOG_GAMMA}")
    assert gamma.name == "1-hyperparams.gamma"
    assert gamma.override(0.01) == "hyperparams.gamma=0.99"
    assert gamma.of_setting(0.9) == 0.1  # on the edge, though 1 - .9 < .1 in binary
    with pytest.raises(ValueError, match="outside"):
        gamma.of_setting(0.5)


def test_a_point_becomes_overrides_in_the_users_spelling():
    space, fixed = parse_space({}, ["trunk=null,50", "steps=90", "x='a b',c", "hyperparams.tau=interval(0,1)"])
    assert fixed == ["steps=90"]
    point = {"trunk": None, "x": "a b", "hyperparams.tau": 0.25}
    assert space.overrides(point) == ["trunk=null", "x='a b'", "hyperparams.tau=0.25"]


def test_points_of_a_finite_space_come_in_hydras_order():
    space, _ = parse_space({}, ["a=1,2", "b=range(0,2,2)"])
    assert space.size == 4
    assert [tuple(point.values()) for point in space.points()] == [(1, 0), (1, 2), (2, 0), (2, 2)]
    assert parse_space({}, ["a=1,2", "b=interval(0,1)"])[0].size is None


def test_halves_begin_with_the_points_whose_level_numbers_add_up_to_an_even_number():
    space, _ = parse_space({}, ["a=1,2", "b=5,6,7"])
    assert [tuple(point.values()) for point in space.halves()] == [(1, 5), (1, 7), (2, 6), (1, 6), (2, 5), (2, 7)]


def test_corners_meet_every_choice_and_both_ends():
    space, _ = parse_space({}, ["a=1,2,3", "b=interval(0,1)"])
    assert [tuple(point.values()) for point in space.corners()] == [(1, 0.0), (2, 1.0), (3, 0.0)]


def test_the_command_line_takes_the_place_of_the_groups_word():
    space, _ = parse_space({"a": "choice(1,2)", "b": "choice(3,4)"}, ["a=choice(7,8)"])
    assert space.words == {"a": "choice(7,8)", "b": "choice(3,4)"}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("x=interval(3, 1)", "it is empty, from 3.0 to 1.0"),
        ("x=tag(log, interval(0, 1))", "log needs a positive lower end"),
        ("x=one_minus(interval(2, 3))", "one_minus needs ends from 0 to 1"),
        ("x=choice()", "empty choice"),
        ("x=choice(1, 1)", "stands in it twice"),
        ("x=range(1, 5, 0)", "step 0 is not positive"),
        ("x=tag(log, range(1, 5))", "cannot be log"),
        ("x=uniform(0, 1)", "Unknown function 'uniform'"),
    ],
)
def test_an_empty_or_contradictory_word_is_one_line_that_names_it(argument, said):
    with pytest.raises(UserError) as refusal:
        parse_space({}, [argument])
    line = str(refusal.value)
    assert said in line
    assert argument in line
    assert "\n" not in line


def test_a_key_that_is_swept_and_fixed_is_refused():
    with pytest.raises(UserError, match=r"hyperparams.gamma=.9: space=... sweeps it"):
        parse_space({"hyperparams.gamma": LOG_GAMMA}, ["hyperparams.gamma=.9"])


def test_a_group_entry_that_sweeps_nothing_is_refused():
    with pytest.raises(UserError, match="nothing to sweep"):
        parse_space({"hyperparams.gamma": "0.9"}, [])
