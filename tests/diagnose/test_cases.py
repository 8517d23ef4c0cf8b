"""Logs in the shapes that people bring, each with what its owner should be told (`cases/`, all synthetic)."""

import json
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("cases")
H6 = "which encoder the actor's loss reads"


@pytest.fixture
def told(diagnose):
    """What ``--json`` says of every run in a case, by the run's name."""

    def run(name, *flags):
        code, out, err = diagnose(CASES / name, "--json", *flags)
        assert code == 0, err
        return {found["run"]: found for found in map(json.loads, out.splitlines())}

    return run


def only(found):
    [one] = found.values()
    return one


def standing(found, level="FAIL"):
    return {alarm["detector"] for alarm in found["alarms"] if alarm["level"] == level and alarm["until"] is None}


def test_values_and_target_that_explode_together(told):
    found = only(told("all_q_explode_together.csv"))
    assert found["verdict"] == "diverging"
    assert {alarm["cause"] for alarm in found["alarms"] if alarm["detector"] == "d3"} == {
        "actor Q", "critic Q", "target", "critic's loss",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["walker_collapsed_progress.txt", "signflip_no_target.csv"])
def test_returns_that_fall_or_stay_down_are_never_healthy(told, name):
    found = only(told(name, "--gamma", ".99", "--r-max", "10"))
    assert found["verdict"] in ("not learning yet", "suspicious", "collapsed")


def test_a_mirrored_sign_is_named(told):
    found = only(told("signflip_no_target.csv", "--gamma", ".99", "--r-max", "10"))
    assert "sign of the actor's loss" in found["next"]


def test_an_actor_far_from_its_critic_needs_no_target_in_the_log(told):
    found = only(told("actor_q_40x_no_target.csv"))
    assert (found["verdict"], found["since"]) == ("diverging", 1300)  # learning began at 1,000
    assert H6 in found["why"]


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("ok_three_seeds.csv", {"seed=0": "healthy", "seed=1": "healthy", "seed=2": "healthy"}),
        ("bad_three_seeds.csv", {"seed=0": "healthy", "seed=1": "diverging", "seed=2": "healthy"}),
        ("ok_wandb_export_two_runs.csv", {"alpha": "undetermined", "beta": "undetermined"}),  # the actor's loss alone
        ("bad_wandb_export_two_runs.csv", {"alpha": "undetermined", "beta": "undetermined"}),
        ("tb_hidden_bad", {"events.out.tfevents.1796076218.vm.23330.3.a": "diverging",
                           "events.out.tfevents.1796076219.vm.23330.4.b": "healthy"}),
    ],
)  # fmt: skip
def test_several_runs_are_judged_one_by_one(told, name, verdicts):
    assert {run: found["verdict"] for run, found in told(name).items()} == verdicts


def test_several_runs_are_said_to_be_several(diagnose):
    _, out, _ = diagnose(CASES / "bad_three_seeds.csv")
    assert out.startswith("3 runs, judged one by one: 1 diverging, 2 healthy\n")
    _, out, _ = diagnose(CASES / "ok_one_nan.csv", CASES / "bad_one_nan.csv")
    assert out.startswith("2 runs, judged one by one: 1 diverging, 1 healthy\n")


def test_a_fall_that_was_made_good_is_over(told):
    found = only(told("ant_recovered.monitor.csv", "--warmup", "12000"))
    assert (found["verdict"], standing(found)) == ("learning", set())
    [failure] = [alarm for alarm in found["alarms"] if alarm["level"] == "FAIL"]
    assert failure["step"] < failure["until"] < 60_000


def test_an_overshoot_that_came_back_is_told_from_when_to_when(told):
    found = only(told("overshoot_recovered.csv"))
    assert (found["verdict"], standing(found)) == ("healthy", set())
    assert [(alarm["step"], alarm["until"]) for alarm in found["alarms"]] == [(4000, 6000)]


def test_a_high_q_is_measured_by_the_returns_of_its_run(told):
    found = only(told("healthy_s_curve_q_1e4.csv"))
    assert (found["verdict"], found["alarms"]) == ("healthy", [])


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("ok_one_nan.csv", "1 cells are not finite, the first at step 11000; their series go on: left out"),
        ("ok_nan_first_row.csv", "2 cells before a series' first number are not finite: taken as not logged yet"),
    ],
)
def test_a_cell_that_is_not_a_number_convicts_nobody(told, name, note):
    found = only(told(name))
    assert (found["verdict"], standing(found)) == ("healthy", set())
    assert note in found["notes"]


def test_a_diverging_run_is_convicted_by_its_values_and_not_by_its_nan(told):
    found = only(told("bad_one_nan.csv"))
    assert found["verdict"] == "diverging"
    assert "nonfinite" not in standing(found)


@pytest.mark.parametrize(
    ("name", "note"), [("td3bc_normalised_loss.csv", "it is not -Q"), ("sac_large_entropy.csv", "SAC by its series")]
)
def test_an_actors_loss_that_is_not_minus_q_makes_no_gap(told, name, note):
    found = only(told(name))
    assert found["alarms"] == []
    assert any(note in line for line in found["notes"])
    assert found["verdict"] in ("healthy", "not learning yet")  # by whether its returns rise


def test_reaching_the_goal_is_no_alarm(told):
    assert only(told("goal_reached_is_alarm.monitor.csv", "--warmup", "500"))["alarms"] == []


def test_a_discount_of_1_sets_no_bound_and_ends_nothing(told):
    found = only(told("tb_gamma1", "--r-max", "10"))
    assert found["verdict"] == "healthy"
    assert only(told("tb_gamma1", "--r-max", "10", "--gamma", "1"))["verdict"] == "healthy"


@pytest.mark.parametrize("name", ["dqn_q_values_explode.csv", "critic_loss_only.csv"])
def test_what_is_there_is_enough(told, name):
    assert only(told(name))["verdict"] == "diverging"


@pytest.mark.parametrize("name", ["skrl.csv", "rllib_progress.csv", "tianshou.csv", "spinup_ddpg.txt"])
def test_all_series_of_other_libraries_are_recognised(told, name):
    found = only(told(name))
    assert found["unused"] == {}
    assert {"step", "loss/critic", "episode/return", "episode/length"} <= set(found["series"].values())
    assert found["verdict"] == "diverging"


def test_curves_by_the_number_of_the_episode_are_put_where_it_ended(told):
    found = only(told("tb_episode_axis"))
    assert any("by the number of the episode; placed by their lengths" in note for note in found["notes"])
    [short] = [alarm for alarm in found["alarms"] if alarm["detector"] == "d5"]
    assert short["step"] > 1000


@pytest.mark.parametrize(("name", "verdict"), [("ok_nostep.csv", "healthy"), ("bad_nostep.csv", "diverging")])
def test_without_steps_rows_are_counted_and_it_is_said(told, name, verdict):
    found = only(told(name))
    assert found["verdict"] == verdict
    assert any("rows are counted instead" in note for note in found["notes"])


@pytest.mark.parametrize(
    "name",
    ["semicolon_decimalcomma.csv", "array.json", "gzip.csv.gz"],
)
def test_a_format_changes_no_verdict(told, name):
    assert [only(told(f"{kind}_{name}"))["verdict"] for kind in ("ok", "bad")] == ["healthy", "diverging"]


@pytest.mark.parametrize("name", ["bad_sheet.xlsx", "bad_table.parquet", "bad_arrays.npz", "sb3_stdout.log"])
def test_formats_of_libraries(told, name):
    assert only(told(name))["verdict"] == "diverging"


@pytest.mark.parametrize("name", ["ok_tensorboard_download.csv", "bad_tensorboard_download.csv"])
def test_a_download_without_the_name_of_its_series_says_how_to_name_it(diagnose, told, name):
    code, _, err = diagnose(CASES / name)
    assert code == 2
    assert "does not name its series; do so: --map Value=loss/actor" in err
    assert only(told(name, "--map", "Value=loss/actor"))["series"]["Value"] == "loss/actor"
