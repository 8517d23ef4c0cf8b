"""Several runs in one file are told apart, and one run that was resumed stays one."""

import numpy as np
import pytest
from torch.utils.tensorboard import SummaryWriter

from td3sweep.logs.find import read_all


def runs(path, header, rows):
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return {log.name: [row.values.get("q1") for row in log.rows] for log in read_all(path)}


@pytest.mark.parametrize("key", ["seed", "run_id", "env", "Task", "exp_name"])
def test_a_column_that_names_runs_parts_them(tmp_path, key):
    rows = [(step, 10 * run + step, f"r{run}") for run in (1, 2) for step in (1, 2, 3)]
    assert runs(tmp_path / "a.csv", f"step,q1,{key}", rows) == {
        f"{key}=r1": [11.0, 12.0, 13.0], f"{key}=r2": [21.0, 22.0, 23.0],
    }  # fmt: skip


def test_several_columns_name_runs_together(tmp_path):
    rows = [(step, step, seed, env) for env in ("a", "b") for seed in (0, 1) for step in (1, 2, 3)]
    found = runs(tmp_path / "a.csv", "step,q1,seed,env", rows)
    assert list(found) == ["seed=0, env=a", "seed=1, env=a", "seed=0, env=b", "seed=1, env=b"]


def test_a_column_that_never_changes_names_nothing(tmp_path):
    assert list(runs(tmp_path / "a.csv", "step,q1,seed", [(step, step, 7) for step in range(5)])) == [""]


def test_steps_that_begin_again_are_another_run(tmp_path):
    rows = [(step, 100 * run + step) for run in (1, 2) for step in range(0, 100, 10)]
    found = runs(tmp_path / "a.csv", "step,q1", rows)
    assert list(found) == ["part 1", "part 2"]
    assert found["part 2"][0] == 200.0


def test_a_resumed_run_goes_back_a_little_and_stays_one(tmp_path):
    steps = [*range(0, 60, 10), *range(40, 100, 10)]  # killed at 50, resumed from the checkpoint of 40
    found = runs(tmp_path / "a.csv", "step,q1", [(step, place) for place, step in enumerate(steps)])
    assert found == {"": [0.0, 1.0, 2.0, 3.0, *(float(place) for place in range(6, 12))]}  # without step 50's first


def test_a_line_or_two_out_of_order_are_no_runs(tmp_path):
    assert list(runs(tmp_path / "a.csv", "step,q1", [(200, 2), (100, 1)])) == [""]


def test_a_wandb_charts_export_holds_a_run_in_every_three_columns(tmp_path):
    header = "Step," + ",".join(
        f"{run} - train/q1{bound}" for run in ("one", "two") for bound in ("", "__MIN", "__MAX")
    )
    rows = [(step, step, step, step, "", "", "") for step in (1, 2, 3)] + [("4", "", "", "", 9, 9, 9)]
    path = tmp_path / "a.csv"
    path.write_text(header + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    found = {log.name: [(row.values["Step"], row.values["train/q1"]) for row in log.rows] for log in read_all(path)}
    assert found == {"one": [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)], "two": [(4.0, 9.0)]}


def events(folder, suffix, steps, tag="q1", shift=0.0):
    with SummaryWriter(str(folder), filename_suffix=suffix) as writer:
        for step in steps:
            writer.add_scalar(tag, shift + step, step)


def test_event_files_that_overlap_are_runs_and_those_that_follow_are_sessions(tmp_path):
    for name, spans in {
        "two": [(0, 50), (0, 50)],
        "one": [(0, 50), (50, 100)],
        "resumed": [(0, 50), (45, 100)],
    }.items():
        for place, span in enumerate(spans):
            events(tmp_path / name, f".{place}", range(*span), shift=1000.0 * place)
    assert [len(read_all(tmp_path / name)) for name in ("two", "one", "resumed")] == [2, 1, 1]
    [resumed] = read_all(tmp_path / "resumed")
    assert resumed.rows[46].values["q1"] == 1046.0  # of what both wrote the later stands


def test_writers_of_different_series_are_one_run(tmp_path):
    events(tmp_path, ".a", range(50), "q1")
    events(tmp_path, ".b", range(50), "critic_loss")
    [log] = read_all(tmp_path)
    assert log.tags() == ["q1", "critic_loss"]


def test_a_folder_of_runs_is_read_run_by_run_and_what_cannot_be_read_is_told(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        runs(tmp_path / name / "progress.csv", "step,q1", [(step, step) for step in range(5)])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "progress.csv").write_bytes(b"\0\1\2" * 99)
    told = []
    assert [log.path.parent.name for log in read_all(tmp_path, told.append)] == ["a", "b"]
    assert len(told) == 1
    assert "no text" in told[0]


def test_curves_by_the_number_of_the_episode_go_where_it_ended(tmp_path):
    rng = np.random.default_rng(0)
    lengths = [int(length) for length in rng.integers(20, 40, 30)]
    with SummaryWriter(str(tmp_path)) as writer:
        for number, length in enumerate(lengths):
            writer.add_scalar("episode_length", length, number)
            writer.add_scalar("episode_reward", -length, number)
        for step in range(0, sum(lengths), 50):
            writer.add_scalar("critic_loss", 1.0, step)
    [log] = read_all(tmp_path)
    ends = [row.step for row in log.rows if "episode_length" in row.values]
    assert ends == list(np.cumsum(lengths))
    assert [row.step for row in log.rows if "episode_reward" in row.values] == ends
