"""What was varied: settings that differ, settings that change together, numbers of many values."""

from made_up_runs import run

from td3sweep.report.factors import factors


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
