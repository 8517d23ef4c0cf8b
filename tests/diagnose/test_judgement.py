"""From a log to a judgement: the described run flagged when it should be, whatever the format of its log."""

import csv
import json
import subprocess
import sys

import pytest
from torch.utils.tensorboard import SummaryWriter
from written_logs import described_row, described_rows, run_directory, write_lines

from td3sweep.diagnose.judge import judge
from td3sweep.logs.find import read
from td3sweep.logs.log import Log, LoggedEpisode, Row
from td3sweep.logs.named import under_our_names

CRITIC = ["q/q1", "q/target", "q/target_sd"]


def judged(path, gamma=0.99, r_max=10.0):
    return judge(under_our_names(read(path), {}, None), gamma=gamma, r_max=r_max).report


def as_run(path):
    return run_directory(path, described_rows())


def as_csv(path):
    with (path / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["global_step", "actor_q_mean", "q1_mean", "target_q_mean", "target_q_std"])
        writer.writerows([step, *row.values()] for step, row in described_rows())
    return path / "log.csv"


def as_events(path):
    writer = SummaryWriter(str(path))
    names = dict(
        zip(described_row(0), ["train/actor_q", "train/q1", "train/target_q", "train/target_q_std"], strict=True)
    )
    for step, row in described_rows():
        for name, value in row.items():
            writer.add_scalar(names[name], value, step)
    writer.close()
    return path


def as_wandb(path):
    """In a process of its own: wandb keeps threads and a service."""
    code = "import json, sys, wandb\n"
    code += "quiet = wandb.Settings(silent=True, console='off', x_disable_stats=True)\n"
    code += "run = wandb.init(mode='offline', dir=sys.argv[1], config={'gamma': 0.99}, settings=quiet)\n"
    code += "for step, row in json.loads(sys.argv[2]): run.log({'env_step': step, **row})\n"
    code += "run.finish()"
    subprocess.run([sys.executable, "-c", code, path, json.dumps(described_rows())], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    "write",
    [as_run, as_csv, pytest.param(as_events, marks=pytest.mark.slow), pytest.param(as_wandb, marks=pytest.mark.slow)],
)
def test_the_described_run_is_told_by_step_1800_in_every_kind_of_log(tmp_path, write):
    report = judged(write(tmp_path))
    first = {}
    for alarm in report.alarms:
        first.setdefault(alarm.detector, alarm.step)
    # By hand: the critic's own Q is allowed half of itself; the actor's Q lies beyond it at last from step 1,300 on.
    rows = [(step, abs(row["q/actor"] - row["q/q1"]) > 0.5 * row["q/q1"]) for step, row in described_rows()]
    crossing = [step for place, (step, _) in enumerate(rows) if all(beyond for _, beyond in rows[place:])]
    assert first["d2"] == crossing[2] <= 1800
    bound = [step for step, row in described_rows() if row["q/actor"] > 1.1 * 1000.0]
    assert first["d1"] == bound[2]
    assert report.more_steps_help == "no"
    assert "H6" in next(alarm.evidence for alarm in report.alarms if alarm.detector == "d2")


def test_a_critic_and_an_actor_logged_apart_are_judged_as_if_logged_together(tmp_path):
    """Two calls of a logger at each step: D1 and D2 need what only both together hold."""
    parts = [{key: row[key] for key in keys} for _, row in described_rows() for keys in (CRITIC, ["q/actor"])]
    steps = [step for step, _ in described_rows() for _ in range(2)]
    write_lines(tmp_path / "apart.jsonl", [{"env_step": s, **part} for s, part in zip(steps, parts, strict=True)])
    write_lines(tmp_path / "together.jsonl", [{"env_step": step, **row} for step, row in described_rows()])
    apart, together = (judged(tmp_path / f"{name}.jsonl") for name in ("apart", "together"))
    assert together.verdict == "diverging"
    assert apart == together


def test_without_discount_and_rewards_the_bound_is_left_out_by_name(tmp_path):
    report = judged(as_csv(tmp_path), gamma=None, r_max=None)
    assert any(line.startswith("d1: neither the discount nor a return") for line in report.missing)
    assert not any(alarm.detector == "d1" for alarm in report.alarms)


def test_the_logs_own_discount_serves_where_none_is_given(tmp_path):
    report = judged(as_run(tmp_path), gamma=None)
    assert any(alarm.detector == "d1" for alarm in report.alarms)


def test_a_reward_logged_later_does_not_bound_earlier_rows(tmp_path):
    rows = [Row(step, {"q/actor": 50.0, "reward/max": 1.0 if step < 40 else 9.0}) for step in (10, 20, 30, 40)]
    report = judge(Log(tmp_path, "test", rows=rows), gamma=0.9, r_max=None).report
    assert [(alarm.detector, alarm.step) for alarm in report.alarms] == [("d1", 30)]


def test_events_of_one_step_come_as_in_the_loop(tmp_path):
    """The learner's row, the episode's end, the evaluation: as a trainer feeds its monitor."""
    rows = [Row(10, {"eval/return": 1.0}, "evaluation"), Row(10, {"q/q1": 1.0}, "learning")]
    log = Log(tmp_path, "test", rows=rows, episodes=[LoggedEpisode(10, 5.0, 1.0, "learning")])
    calls = []

    class Listening:
        def __init__(self, **options):
            pass

        def watch(self, *_):
            calls.append("row")

        def episode(self, *_, **__):
            calls.append("episode")

        def evaluation(self, *_):
            calls.append("evaluation")

        def report(self):
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("td3sweep.diagnose.judge.Monitor", Listening)
        judge(log, gamma=None, r_max=None)
    assert calls == ["row", "episode", "evaluation"]
