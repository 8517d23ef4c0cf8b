"""CSV and its relatives."""

import pytest

from td3sweep.errors import UserError
from td3sweep.logs.find import read
from td3sweep.logs.log import NothingYetError
from td3sweep.logs.named import under_our_names


def table(path, text, name="log.csv"):
    (path / name).write_text(text)
    return path / name


def named(path, overrides=None, warmup=None):
    return under_our_names(read(path), overrides or {}, warmup)


def test_steps_series_and_empty_cells(tmp_path):
    log = named(table(tmp_path, "global_step,q1,actor_loss,comment\n200,2.5,,late\n100,1.5,-4,early\n"))
    assert [(row.step, dict(row.values)) for row in log.rows] == [
        (100, {"q/q1": 1.5, "loss/actor": -4.0, "q/actor": 4.0}),
        (200, {"q/q1": 2.5}),
    ]
    assert "q/actor = -actor loss, which holds for TD3 and DDPG" in log.notes


def test_rows_of_one_step_are_joined_where_their_series_are_disjoint(tmp_path):
    text = "step,q1,actor_q,critic_loss\n5,1,,\n5,2,,\n5,,3,\n5,,,7\n6,4,,\n"
    log = named(table(tmp_path, text))
    assert [(row.step, dict(row.values)) for row in log.rows] == [
        (5, {"q/q1": 1.0, "q/actor": 3.0, "loss/critic": 7.0}),
        (5, {"q/q1": 2.0}),
        (6, {"q/q1": 4.0}),
    ]
    assert "2 rows joined with an earlier one of their step that lacks their series" in log.notes


def test_an_actor_q_that_is_logged_is_not_replaced(tmp_path):
    log = named(table(tmp_path, "step,actor_q,actor_loss\n1,5,-4\n"))
    assert log.rows[0].values["q/actor"] == 5.0


def test_sac_is_told_apart(tmp_path):
    log = named(table(tmp_path, "step,actor_loss,train/ent_coef\n1,-4,.2\n"))
    assert any("entropy" in note for note in log.notes)


def test_without_a_column_of_steps_rows_are_counted_unless_it_is_named(tmp_path):
    path = table(tmp_path, "when,q1\n100,1\n200,2\n")
    assert [row.step for row in named(path).rows] == [0, 1]
    assert [row.step for row in named(path, {"when": "step"}).rows] == [100, 200]


def test_spinning_up_writes_tabs(tmp_path):
    text = "Epoch\tAverageEpRet\tEpLen\tTotalEnvInteracts\tAverageQ1Vals\tLossPi\n1\t-9.5\t100\t4000\t3.5\t-3.25\n"
    log = named(table(tmp_path, text, "progress.txt"))
    assert log.rows[0].step == 4000
    assert log.rows[0].values["q/actor"] == 3.25
    assert (log.episodes[0].length, log.episodes[0].ret) == (100.0, -9.5)


def test_warm_up_ends_with_the_first_row_that_only_a_learner_writes(tmp_path):
    text = "step,episode_length,episode_reward,q1\n50,50,1,\n90,40,1,\n100,,,2\n120,30,1,\n130,10,1,2\n"
    log = named(table(tmp_path, text))
    assert [(one.step, one.phase) for one in log.episodes] == [
        (50, "warm-up"), (90, "warm-up"), (130, "learning"),
    ]  # fmt: skip
    # The episode that ended at step 120 began at 90, with random actions: it tells of neither phase.
    assert "learning is taken to begin at step 100, the first with a loss or a Q (--warmup N)" in log.notes
    assert {one.phase for one in named(table(tmp_path, text), warmup=0).episodes} == {"learning"}


def test_monitor_files_list_episodes(tmp_path):
    text = '#{"t_start": 1.5, "env_id": "Pendulum-v1"}\nr,l,t\n-900.5,200,0.1\n-800.5,150,0.2\n'
    log = named(table(tmp_path, text, "monitor.csv"))
    assert [(one.step, one.length, one.ret) for one in log.episodes] == [(200, 200.0, -900.5), (350, 150.0, -800.5)]


def test_a_monitor_file_beside_progress_replaces_its_means(tmp_path):
    table(tmp_path, "time/total_timesteps,rollout/ep_len_mean,train/actor_loss\n400,100,-3\n", "progress.csv")
    table(tmp_path, '#{"t_start": 1.5}\nr,l,t\n1,200,0.1\n', "0.monitor.csv")
    assert [one.length for one in named(tmp_path).episodes] == [200.0]


def monitor_file(path, name, t_start, *episodes):
    """A Monitor file of stable-baselines3; an episode is (length, seconds since the start)."""
    rows = "".join(f"{length / 10},{length},{t}\n" for length, t in episodes)
    table(path, f'#{{"t_start": {t_start}, "env_id": "None"}}\nr,l,t\n{rows}', f"{name}.monitor.csv")


def test_the_steps_of_several_environments_add_up_in_the_order_in_which_their_episodes_ended(tmp_path):
    monitor_file(tmp_path, "0", 1000.0, (50, 10.0), (60, 21.0))  # ended at 1010 and 1021
    monitor_file(tmp_path, "1", 1001.0, (40, 8.0), (200, 60.0), (30, 70.0))  # 1009, 1061, 1071
    monitor_file(tmp_path, "2", 1002.0, (55, 18.5))  # 1020.5
    steps = [(one.step, one.length) for one in named(tmp_path).episodes]
    assert steps == [(40, 40.0), (90, 50.0), (145, 55.0), (205, 60.0), (405, 200.0), (435, 30.0)]


def test_a_monitor_file_that_several_sittings_wrote_keeps_its_order(tmp_path):
    monitor_file(tmp_path, "0", 1000.0, (50, 10.0), (60, 20.0), (70, 5.0))  # the second session counts time anew
    assert [(one.step, one.length) for one in named(tmp_path).episodes] == [(50, 50.0), (110, 60.0), (180, 70.0)]


def test_random_episodes_of_four_environments_are_told_from_the_policys(tmp_path):
    """1,200 random steps in all: five episodes of 60 an environment, then the policy's of 200."""
    for k in range(4):
        lengths = [60] * 5 + [200] * 5
        monitor_file(tmp_path, k, 1000.0 + 0.1 * k, *((n, sum(lengths[: i + 1])) for i, n in enumerate(lengths)))
    table(tmp_path, "time/total_timesteps,train/actor_loss\n400,\n1200,-1\n5200,-2\n", "progress.csv")
    episodes = named(tmp_path).episodes
    assert [one.length for one in episodes if one.phase == "warm-up"] == [60.0] * 19  # the 20th ends at 1,200
    assert (episodes[-1].step, len(episodes)) == (5200, 40)


def test_an_environment_that_has_ended_no_episode_yet_hides_nothing(tmp_path):
    monitor_file(tmp_path, "0", 1000.0)
    with pytest.raises(NothingYetError, match=r"0\.monitor\.csv: no row under a header line"):
        named(tmp_path)
    monitor_file(tmp_path, "1", 1000.0, (50, 10.0))
    assert [one.length for one in named(tmp_path).episodes] == [50.0]


@pytest.mark.parametrize("name", ["eval", "test_0"])
def test_monitor_files_of_evaluation_are_left_out_and_told_of(tmp_path, name):
    table(tmp_path, "time/total_timesteps,train/actor_loss\n400,-3\n", "progress.csv")
    monitor_file(tmp_path, "0", 1000.0, (50, 10.0))
    monitor_file(tmp_path, name, 1000.0, (20, 1.0), (20, 2.0))
    log = named(tmp_path)
    assert [one.length for one in log.episodes] == [50.0]
    assert f"{name}.monitor.csv: episodes of evaluation by its name, left out" in log.notes


def test_monitor_files_that_only_their_names_call_evaluations_are_read(tmp_path):
    for k in range(2):
        monitor_file(tmp_path, f"test_run_{k}", 1000.0 + k, (50, 10.0))
    assert [one.step for one in named(tmp_path).episodes] == [50, 100]


def test_a_mean_over_no_episode_is_no_alarm_but_a_loss_that_is_not_finite_stays(tmp_path):
    log = named(table(tmp_path, "step,ep_rew_mean,qf2_loss,q1\n1,nan,inf,2\n"))
    assert dict(log.rows[0].values) == {"qf2_loss": float("inf"), "q/q1": 2.0}


def test_a_half_written_last_line_is_dropped_and_told_of(tmp_path):
    log = read(table(tmp_path, "step,q1\n1,2\n2,31"))
    assert [row.values["q1"] for row in log.rows] == [2.0]
    assert log.notes == ["log.csv: the last line has no end and may be half written; 4 bytes dropped"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the file is empty"),
        (b"step,q1\n", "no row under a header line; is the run still in its first moments"),
        (b"step,q1\n1,2", "no row under a header line: the last line was left out, because it has no end"),
        (b'#{"t_start": 1}\nr,l,t\n1,2,3', "the last line was left out, because it has no end"),
        (b"\x89PNG\r\n\x1a\n\0\0\xff\xfe", "no text, nor by its name an event file"),
        (b"name,town\nAda,London\n", "no series that a detector knows"),
        (b"#{broken\nr,l,t\n1,2,3\n", "first line is damaged"),
        (b'#{"t_start": 1}\na,b\n1,2\n', "no columns r and l"),
    ],
)
def test_a_foreign_file_gets_one_line_that_says_why(tmp_path, content, text):
    (tmp_path / "foreign.csv").write_bytes(content)
    with pytest.raises(UserError, match=text):
        named(tmp_path / "foreign.csv")


def test_a_table_that_lies_above_runs_is_none(tmp_path):
    """Notes in a folder of runs, or a table that somebody made of them."""
    table(tmp_path, "run,verdict\na,healthy\n", "notes.csv")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    table(tmp_path / ".ipynb_checkpoints", "run,verdict\na,healthy\n")  # an editor's copy is no run
    assert read(tmp_path).kind == "table"
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        table(tmp_path / "runs" / name, "step,q1\n1,2\n")
    with pytest.raises(UserError, match=r"holds 2 runs; name one of them: runs/a/log.csv, runs/b/log.csv"):
        read(tmp_path)
