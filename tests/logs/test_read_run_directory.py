"""Our own run directories, live and damaged ones included."""

import json
import math
import os

import pytest
from written_logs import described_rows, run_directory, write_lines

from td3sweep.diagnose.judge import judge
from td3sweep.errors import UserError
from td3sweep.logs.find import read
from td3sweep.logs.named import under_our_names


def test_rows_episodes_and_what_the_configuration_says(tmp_path):
    path = run_directory(
        tmp_path,
        rows=[(10, {"q/q1": 1.0}), (20, {"q/q1": 2.0, "q/actor": None, "not_finite": ["q/actor"]})],
        episodes=[{"env_step": 15, "phase": "warm-up", "return": 3.5, "length": 7, "terms": {}, "end": "gone"}],
        config="hyperparams: {gamma: 0.9}\nclip: {name: per_module, actor: 2.0, critic: 20.0}\n",
    )
    log = read(path)
    assert (log.gamma, log.clip, log.clip_actor, log.clip_critic) == (0.9, "per_module", 2.0, 20.0)
    assert [(row.step, row.phase, row.values["q/q1"]) for row in log.rows] == [
        (10, "learning", 1.0), (20, "learning", 2.0),
    ]  # fmt: skip
    assert math.isnan(log.rows[1].values["q/actor"])
    [episode] = log.episodes
    assert (episode.step, episode.length, episode.ret, episode.phase) == (15, 7.0, 3.5, "warm-up")
    assert log.notes == []


def test_a_number_that_was_not_finite_is_an_alarm(tmp_path):
    path = run_directory(tmp_path, rows=[(30, {"loss/critic": None, "not_finite": ["loss/critic"]})])
    report = judge(under_our_names(read(path), {}, None), gamma=None, r_max=None).report
    assert [(alarm.detector, alarm.step) for alarm in report.alarms] == [("nonfinite", 30)]
    assert "loss/critic" in report.alarms[0].evidence


def test_a_half_written_last_line_is_dropped_and_told_of(tmp_path):
    path = run_directory(tmp_path, rows=described_rows())
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"env_step": 5100, "q/act')
    log = read(path)
    assert log.rows[-1].step == 5000
    assert log.notes == ["metrics.jsonl: the last line is half written; 25 bytes dropped"]


def test_a_last_line_that_lacks_only_its_end_may_be_half_a_number(tmp_path):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0})])
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"env_step": 2, "q/q1": 2.0}')
    assert [row.step for row in read(path).rows] == [1]


def test_damage_in_the_middle_costs_its_lines_only(tmp_path):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0}), (2, {"q/q1": 2.0}), (3, {"q/q1": 3.0})])
    lines = (path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (path / "metrics.jsonl").write_bytes(lines[0] + b"\0\0\0\xff\n" + lines[2])
    log = read(path)
    assert [row.step for row in log.rows] == [1, 3]
    assert log.notes == ["metrics.jsonl: 1 lines that are no JSON object dropped"]


@pytest.mark.parametrize("step", ["null", '"soon"', "NaN", "[1]", None])
def test_a_line_without_an_environment_step_is_damage_too(tmp_path, step):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0}), (3, {"q/q1": 3.0})], episodes=[{"env_step": 2}])
    damaged = "{}\n" if step is None else f'{{"env_step": {step}}}\n'
    for name in ("metrics.jsonl", "episodes.jsonl"):
        (path / name).write_text(damaged + (path / name).read_text())
    log = read(path)
    assert ([row.step for row in log.rows], [one.step for one in log.episodes]) == ([1, 3], [2])
    assert log.notes == [
        "metrics.jsonl: 1 damaged lines dropped (no env_step, or no number there)",
        "episodes.jsonl: 1 damaged lines dropped (no env_step, or no number there)",
    ]


def test_the_audit_of_the_wiring_is_taken_from_the_summary(tmp_path):
    path = run_directory(tmp_path, rows=[(100, {"q/q1": 1.0, "divergence/d0": 1.0})])
    alarm = {"detector": "d0", "level": "FAIL", "step": 0, "evidence": "H6: crossed", "cause": "H6"}
    (path / "summary.json").write_text(json.dumps({"alarms": [alarm]}))
    report = judge(under_our_names(read(path), {}, None), gamma=None, r_max=None).report
    assert (report.verdict, report.first_alarm_step) == ("faulty wiring", 0)
    assert report.alarms[0].evidence == "H6: crossed"


def test_an_audit_that_found_faults_counts_before_the_summary_names_them(tmp_path):
    path = run_directory(tmp_path, rows=[(100, {"q/q1": 1.0, "divergence/d0": 2.0})])
    report = judge(under_our_names(read(path), {}, None), gamma=None, r_max=None).report
    assert (report.verdict, report.first_alarm_step) == ("faulty wiring", 100)
    assert "the run's own audit found 2 faults" in report.alarms[0].evidence


def test_an_audit_without_a_fault_is_not_missing(tmp_path):
    path = run_directory(tmp_path, rows=[(100, {"q/q1": 1.0, "divergence/d0": 0.0})])
    report = judge(under_our_names(read(path), {}, None), gamma=None, r_max=None).report
    assert not any(line.startswith("d0") for line in report.missing)


def test_a_run_is_over_once_its_summary_is_newer_than_its_rows(tmp_path):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0})])
    assert not read(path).finished
    (path / "summary.json").write_text("{}")
    assert read(path).finished
    os.utime(path / "summary.json", (1, 1))  # an earlier session's
    assert not read(path).finished


def test_the_metrics_file_alone_stands_for_its_directory(tmp_path):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0})])
    assert read(path / "metrics.jsonl").gamma == 0.99


def test_a_folder_above_one_run_will_do_and_above_several_names_them(tmp_path):
    run_directory(tmp_path / "runs" / "a", rows=[(1, {"q/q1": 1.0})])
    assert len(read(tmp_path).rows) == 1
    run_directory(tmp_path / "runs" / "b", rows=[(1, {"q/q1": 1.0})])
    with pytest.raises(UserError, match=r"holds 2 runs; name one of them: runs/a, runs/b"):
        read(tmp_path)


def test_json_lines_of_others(tmp_path):
    write_lines(tmp_path / "log.jsonl", [{"global_step": 5, "critic_q1": 2.0, "note": "x"}, {"global_step": 9}])
    log = under_our_names(read(tmp_path / "log.jsonl"), {}, None)
    assert [(row.step, row.values) for row in log.rows] == [(5, {"q/q1": 2.0}), (9, {})]


def test_a_configuration_that_is_no_yaml(tmp_path):
    path = run_directory(tmp_path, rows=[(1, {"q/q1": 1.0})], config="a: [1,\nb: {")
    with pytest.raises(UserError, match=r"config.yaml: no YAML"):
        read(path)


@pytest.mark.parametrize(
    "config", ["", "- a\n", "clip: joint\n", "hyperparams: [0.9]\n", "hyperparams: 0.9\nclip: {name: off}\n"]
)
def test_a_configuration_of_another_program_is_told_of_and_left_out(tmp_path, config):
    log = read(run_directory(tmp_path, rows=described_rows(), config=config))
    assert (log.config, log.gamma, log.clip, len(log.rows)) == ({}, None, "off", 41)
    assert log.notes == ["config.yaml is not that of a run of ours: the discount and the clip are not known"]


@pytest.mark.parametrize("summary", ['{"alarms": null}', '{"alarms": [{"step": 1}]}', '{"alarms": 3}', "[]"])
def test_a_damaged_summary_is_told_of_and_left_out(tmp_path, summary):
    path = run_directory(tmp_path, rows=described_rows())
    (path / "summary.json").write_text(summary)
    log = read(path)
    assert (log.summary, log.wiring, len(log.rows)) == ({}, None, 41)
    assert "summary.json is damaged or not that of a run of ours: left out" in log.notes
