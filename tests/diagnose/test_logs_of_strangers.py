"""Logs that a reviewer made to break the verdict, each with what should be said of it."""

import json

import numpy as np
import pytest

from td3sweep.diagnose.judge import judge
from td3sweep.errors import UserError
from td3sweep.logs.find import read, read_all
from td3sweep.logs.named import under_our_names

N = 200
T = np.linspace(0, 1, N)
STEPS = 500 * np.arange(1, N + 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(size=N)


@pytest.fixture
def ok(noise):
    """A TD3 that learns: returns from 50 to 1,000, Q to 90."""
    q = 90 * sigmoid(8 * (T - 0.4)) + noise
    returns = 50 + 950 * sigmoid(12 * (T - 0.4)) + 10 * noise
    return {"step": STEPS, "episode_reward": returns, "episode_length": 1000 + 0 * T, "actor_loss": -q, "q1": q - 1,
            "critic_loss": 2 + 0.1 * noise}  # fmt: skip


def write(path, columns):
    names = list(columns)
    cells = zip(*(columns[name] for name in names), strict=True)
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in cells)]) + "\n")
    return path


def verdict(log, overrides=()):
    return judge(under_our_names(log, dict(overrides), None), gamma=None, r_max=None).report


def test_a_sound_log_to_begin_with(tmp_path, ok):
    assert verdict(read(write(tmp_path / "a.csv", ok))).verdict == "healthy"


def test_a_collapse_of_the_last_episodes_is_not_hidden_by_the_newest_fifth(tmp_path, ok, noise):
    late = T > 0.91
    columns = ok | {"episode_reward": np.where(late, 30 + 10 * noise, ok["episode_reward"])}
    report = verdict(read(write(tmp_path / "a.csv", columns)))
    assert report.verdict == "suspicious"
    assert "but the last 9 fell to" in report.why


def test_a_column_of_a_sweep_tells_runs_apart_where_steps_have_several_rows(tmp_path, ok):
    bad = ok | {"q1": np.exp(12 * T), "actor_loss": -np.exp(12 * T), "episode_reward": 50 + 0 * T}
    both = {name: np.column_stack([ok[name], bad[name]]).ravel() for name in ok}
    both["learning_rate"] = np.tile([0.001, 0.1], N)
    logs = read_all(write(tmp_path / "a.csv", both))
    assert [(log.name, verdict(log).verdict) for log in logs] == [
        ("learning_rate=0.001", "healthy"), ("learning_rate=0.1", "diverging"),
    ]  # fmt: skip
    del both["learning_rate"]
    [log] = read_all(write(tmp_path / "b.csv", both))
    assert any("no column was seen to name them" in note for note in log.notes)


def test_an_actor_that_learns_every_other_row_is_no_divergence(tmp_path, ok):
    columns = ok | {"actor_loss": np.where(np.arange(N) % 2 == 0, ok["actor_loss"], np.nan)}
    report = verdict(read(write(tmp_path / "a.csv", columns)))
    assert (report.verdict, report.alarms) == ("healthy", ())


def test_ten_evaluations_that_reach_a_plateau(tmp_path):
    means = [-1246, -906, -407, -167, -165, -156, -179, -139, -201, -141]
    columns = {"step": 1000 * np.arange(1, 11), "eval_return": means, "critic_loss": np.ones(10)}
    report = verdict(read(write(tmp_path / "a.csv", columns)))
    assert (report.verdict, report.progress.kind) == ("learning", "rose")


def test_a_run_that_is_good_within_its_first_rows(tmp_path, noise):
    returns = 50 + 900 * sigmoid((T - 0.03) / 0.008) + 30 * noise
    columns = {"step": STEPS, "episode_reward": returns, "critic_loss": 1 + 0 * T}
    report = verdict(read(write(tmp_path / "a.csv", columns)))
    assert report.progress.kind == "rose"


def test_h6_by_the_critics_q_and_by_the_target_alone(tmp_path):
    critic = 9 * (1 - np.exp(-10 * T))
    actor = critic * (1 + np.exp(7 * T) / 10)
    columns = {"step": STEPS, "critic_q": critic, "target_q": critic + 0.01, "actor_q": actor}
    report = verdict(read(write(tmp_path / "a.csv", columns)))
    assert (report.verdict, "H6" in report.why) == ("diverging", True)
    del columns["critic_q"]
    assert "d2" in {alarm.detector for alarm in verdict(read(write(tmp_path / "b.csv", columns))).alarms}


def test_json_lines_are_nested_and_of_several_runs_as_other_tables_are(tmp_path, ok):
    points = list(zip(STEPS.tolist(), ok["q1"], strict=True))
    rows = [{"seed": seed, "train": {"step": step, "q1": q}} for seed in (0, 1) for step, q in points]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    logs = read_all(tmp_path / "a.jsonl")
    assert [log.name for log in logs] == ["seed=0", "seed=1"]
    assert set(logs[0].tags()) == {"seed", "train/step", "train/q1"}


def test_a_number_for_every_row_names_no_run(tmp_path, ok):
    assert len(read_all(write(tmp_path / "a.csv", ok | {"id": np.arange(N)}))) == 1


def test_thousands_may_be_parted_by_commas(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('step,q1\n"1,000","1,234.50"\n"2,000",900\n"3,000","-12,345,678"\n')
    assert [row.values["q1"] for row in read(path).rows] == [1234.5, 900.0, -12345678.0]


def test_columns_of_words_are_told_of(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,q1,comment\n1,2,early\n2,3,late\n")
    assert "comment: words, no numbers" in read(path).notes


def test_two_series_cannot_be_one(tmp_path, ok):
    columns = ok | {"one": ok["q1"], "two": ok["q1"]}
    log = read(write(tmp_path / "a.csv", columns))
    with pytest.raises(UserError, match="two series cannot both be q/q1"):
        under_our_names(log, {"one": "q/q1", "two": "q/q1"}, None)


def test_a_long_table_is_a_column_a_metric(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("step,metric,value\n1,q1,2.5\n1,critic_loss,0.5\n2,q1,3.5\n")
    rows = [dict(row.values) for row in under_our_names(read(path), {}, None).rows]
    assert [{key: row[key] for key in row if key != "step"} for row in rows] == [
        {"q/q1": 2.5, "loss/critic": 0.5}, {"q/q1": 3.5},
    ]  # fmt: skip


def test_an_array_whose_shape_fits_no_rows_is_told_of(tmp_path):
    np.savez(tmp_path / "a.npz", timesteps=np.arange(20), q1=np.arange(20.0), returns=np.zeros((3, 20)))
    assert "returns: shape (3, 20) fits no 20 rows, left out" in read(tmp_path / "a.npz").notes


@pytest.mark.parametrize(("tag", "hinted"), [("return_std", False), ("actr_q", True), ("損失_actor", False)])
def test_no_hint_to_another_statistic(tmp_path, ok, tag, hinted):
    log = under_our_names(read(write(tmp_path / "a.csv", ok | {tag: ok["q1"]})), {}, None)
    assert bool(log.unused[tag]) == hinted
