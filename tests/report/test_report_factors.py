"""What was varied: settings that differ, settings that change together, numbers of many values."""

import pytest
from made_up_runs import run

from td3sweep.report.factors import factors
from td3sweep.report.findings import conclude


def test_only_what_differs_and_matters_is_a_factor():
    runs = [
        run({"wiring.name": wiring, "clip.name": "joint", "tracking.name": tracking, "env.port": seed}, seed)
        for seed, (wiring, tracking) in enumerate([("crossed", "off"), ("separate", "offline")])
    ]
    (factor,) = factors(runs)
    assert (factor.name, factor.levels, factor.of) == ("wiring", ("separate", "crossed"), ("crossed", "separate"))


def test_settings_that_always_change_together_are_one_factor_named_by_the_command_line():
    runs = []
    for seed, (preset, gamma, tau) in enumerate([("paper", 0.99, 0.005), ("current", 0.9, 0.001)] * 2):
        one = run({"hyperparams.gamma": gamma, "hyperparams.tau": tau}, seed)
        one.overrides = {"hyperparams": preset, "seed": str(seed)}
        runs.append(one)
    (factor,) = factors(runs)
    assert factor.name == "hyperparams"
    assert set(factor.levels) == {"paper", "current"}
    assert factor.keys == ("hyperparams.gamma", "hyperparams.tau")
    for one in runs:
        one.overrides = {}
    (unnamed,) = factors(runs)
    assert unnamed.name == "hyperparams.gamma (+1)"
    assert unnamed.levels == ("0.99", "0.9")  # the default first


def test_a_number_of_many_values_is_halved_at_its_median_and_never_merged():
    runs = [run({"hyperparams.gamma": 0.9 + 0.01 * k, "hyperparams.tau": 0.001 * (k + 1)}, 0) for k in range(6)]
    gamma, tau = factors(runs)
    assert gamma.levels == ("< 0.925", "≥ 0.925")
    assert gamma.of == ("< 0.925",) * 3 + ("≥ 0.925",) * 3
    assert gamma.values[:2] == ("0.9", "0.91")
    assert tau.halved


def test_a_number_whose_median_is_its_smallest_value_still_has_two_halves():
    runs = [run({"weight_decay": decay}, 0) for decay in (0.0, 0.0, 0.0, 0.0, 0.0, 0.001, 0.002, 0.005, 0.01)]
    (decay,) = factors(runs)
    assert decay.levels == ("< 0.001", "≥ 0.001")
    assert decay.of == ("< 0.001",) * 5 + ("≥ 0.001",) * 4


def test_a_run_without_settings_has_no_level():
    runs = [run({"wiring.name": wiring}, 0) for wiring in ("separate", "crossed")] + [run({}, 0)]
    runs[-1].config = {}
    (factor,) = factors(runs)
    assert factor.of == ("separate", "crossed", None)


def test_a_reward_rescales_returns():
    runs = [run({"reward.name": name}, 0) for name in ("cruise", "race")]
    assert factors(runs)[0].rescales


def foreign(*sources, per=4):
    """Logs of another program, which tell no settings and no seed: those of the second folder return 5 more."""
    runs = [run({}, None, ret=5.0 * place + k, name=f"r{k}") for place in range(len(sources)) for k in range(per)]
    for place, one in enumerate(runs):
        one.config, one.source = {}, sources[place // per]
    return runs


def test_logs_without_settings_are_compared_by_their_folder():
    runs = foreign("a", "b")
    (factor,) = factors(runs, sources=2)
    assert (factor.name, factor.levels, factor.of) == ("folder", ("a", "b"), ("a",) * 4 + ("b",) * 4)
    findings = conclude(runs, ["a", "b"])
    (one,) = findings.comparisons
    assert (one.design, one.units, one.effect.value) == ("unmatched", 8, 5.0)
    assert one.p == pytest.approx(2 / 70)  # all of b above all of a: one of 70 ways, and its mirror
    assert (
        "nothing but that and the seed, as far as is known). The settings of 8 of 8 runs are not known."
        in findings.answer.text
    )
    assert findings.best is None


def test_of_logs_without_settings_in_one_folder_it_is_said_that_they_are_not_known():
    text = conclude(foreign("a"), ["a"]).answer.text
    assert text.startswith("There is nothing to compare. The settings of 4 of 4 runs are not known.")
    assert "same settings" not in text


def test_a_folder_of_which_nothing_can_be_compared_is_no_level():
    runs = foreign("a", "b")
    for one in runs[4:]:
        one.state = "empty"
    assert factors(runs, sources=2) == []
