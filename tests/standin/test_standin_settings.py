"""Episode settings on the wire and what they make of a frame."""

from __future__ import annotations

import pytest

from td3sweep.standin.settings import EpisodeSettings

DEFAULT_WIRE = [False, False, [False], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True]


def test_defaults_are_carlas():
    assert EpisodeSettings().wire() == DEFAULT_WIRE


def test_settings_come_back_as_sent():
    wire = [True, True, [True, 0.05], False, 0.02, 5, 50.0, False, 1.0, 2.0, False]
    assert EpisodeSettings.from_wire(wire).wire() == wire


def test_a_zero_step_means_variable():
    assert EpisodeSettings.from_wire([True, False, [True, 0.0], *DEFAULT_WIRE[3:]]).fixed_delta is None


@pytest.mark.parametrize(
    ("delta", "changes", "expected"),
    [(0.05, {}, 5), (0.051, {}, 6), (0.1, {}, 10), (0.5, {}, 10), (0.05, {"substepping": False}, 1)],
)
def test_substeps_by_hand(delta, changes, expected):
    assert EpisodeSettings(**changes).substeps(delta) == expected


@pytest.mark.parametrize("delta", [-0.05, float("nan"), 1e9])
def test_impossible_steps_are_refused(delta):
    with pytest.raises(ValueError, match="out of range"):
        EpisodeSettings.from_wire([True, False, [True, delta], *DEFAULT_WIRE[3:]])


def test_too_few_fields_are_refused():
    with pytest.raises(ValueError, match="10 settings instead of 11"):
        EpisodeSettings.from_wire(DEFAULT_WIRE[:-1])
