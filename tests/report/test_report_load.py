"""Every run is found and accounted for, however it ended and whoever wrote it."""

import json
import os
import shlex
import shutil

import pytest
import yaml
from made_up_runs import ALARM, write_run, write_sweep

from td3sweep.errors import UserError
from td3sweep.record.wandb import WandbMirror
from td3sweep.report.factors import factors
from td3sweep.report.findings import find
from td3sweep.report.load import load
from td3sweep.report.page import render
from td3sweep.report.runs import read_run
from td3sweep.training.run import UNWATCHED


@pytest.fixture
def mixed(tmp_path):
    """Finished, stopped, pruned, interrupted, crashed, half-written, empty, unreadable and missing runs."""
    root = tmp_path / "mixed"
    write_run(root / "deep" / "er" / "finished", seed=0)
    stop = {"finished": False}
    write_run(root / "stopped", seed=1, diverged=True, summary=stop)
    text = (root / "stopped" / "config.yaml").read_text().replace("name: warn", "name: stop")
    (root / "stopped" / "config.yaml").write_text(text)
    write_run(root / "interrupted", seed=2, summary={"finished": False})
    half = write_run(root / "half", seed=3, summary=False)
    with (half / "metrics.jsonl").open("a") as file:
        file.write('{"env_step": 310, "q/ac')
    resumed = write_run(root / "resumed", seed=4, summary={"env_steps": 100})  # a summary of an earlier session
    assert resumed
    (root / "nothing").mkdir()
    bare = write_run(root / "bare", seed=5, rows=0, summary=False)
    os.remove(bare / "metrics.jsonl")
    os.remove(bare / "episodes.jsonl")
    write_run(root / "torn", seed=6)
    (root / "torn" / "config.yaml").write_text("a: [")
    sweep = root / "sweep"
    write_run(sweep / "0" / "seed-0", seed=0)
    write_run(sweep / "1" / "seed-0", seed=0, wiring="crossed", summary={"finished": False})
    write_run(sweep / "2" / "seed-0", seed=0, summary=False)
    trials = [
        {"number": 0, "first": 0, "state": "COMPLETE", "overrides": ["clip=off"]},
        {"number": 1, "first": 1, "state": "PRUNED", "reason": "d2 failed"},
        {"number": 4, "first": 2, "state": "FAIL", "reason": "exit code 1"},
        {"number": 3, "first": 3, "state": "FAIL", "reason": "no GPU"},
    ]
    for trial in trials:
        trial["runs"] = [{"seed": 0, "directory": f"{trial['first']}/seed-0"}]
    (sweep / "sweep.json").write_text(json.dumps({"name": "mine", "trials": trials}))
    return root


def test_a_mixed_folder_accounts_for_every_run(mixed):
    states = {run.name: run.state for run in load([str(mixed)])}
    assert states == {
        "deep/er/finished": "finished",
        "stopped": "stopped by the monitor",
        "interrupted": "interrupted",
        "half": "unfinished",
        "resumed": "unfinished",
        "nothing": "empty",
        "bare": "empty",
        "torn": "unreadable",
        "sweep/0/seed-0": "finished",
        "sweep/1/seed-0": "pruned",
        "sweep/2/seed-0": "crashed",
        "sweep/3/seed-0": "crashed",
    }
    whys = {run.name: run.why for run in load([str(mixed)])}
    assert whys["sweep/1/seed-0"] == "d2 failed"
    assert "config.yaml" in whys["torn"]


def test_the_findings_count_all_and_compare_only_endings_that_tell(mixed):
    findings = find([str(mixed)])
    assert sum(findings.states.values()) == len(findings.runs) == 12
    compared = findings.frame[findings.frame["return"].notna()]["run"].tolist()
    assert sorted(compared) == ["deep/er/finished", "stopped", "sweep/0/seed-0", "sweep/1/seed-0"]
    assert any("8 of 12 runs are listed" in line for line in findings.warnings)
    page = render(findings)
    assert all(f">{run.name}</th><td" in page for run in findings.runs)
    assert "<b>2</b> crashed" in page


def test_trials_bring_their_overrides_and_name(mixed):
    run = next(run for run in load([str(mixed)]) if run.name == "sweep/0/seed-0")
    assert run.overrides == {"wiring": "separate", "seed": "0", "clip": "off"}
    assert run.trial == "mine #0"


def test_a_run_that_its_sweep_does_not_list_yet_belongs_to_its_trial(tmp_path):
    """A sweep lists a run once it has ended: trial 0 trains its second seed, 1 its first, 2 failed, 3 left nothing."""
    for place in ("0/seed-0", "0/seed-1", "1/seed-0", "2/seed-0"):
        write_run(tmp_path / place, seed=int(place[-1]), summary={} if place == "0/seed-0" else False)
    states = ("RUNNING", "RUNNING", "FAIL", "FAIL")
    trials = [
        {"number": place, "first": place, "state": state, "reason": "simulator", "runs": [], "overrides": ["clip=off"]}
        for place, state in enumerate(states)
    ]
    trials[0]["runs"] = [{"seed": 0, "directory": "0/seed-0"}]
    (tmp_path / "sweep.json").write_text(json.dumps({"name": "mine", "trials": trials}))
    found = load([str(tmp_path)])
    assert [(run.name, run.state, run.trial) for run in found] == [
        ("0/seed-0", "finished", "mine #0"),
        ("0/seed-1", "unfinished", "mine #0"),
        ("1/seed-0", "unfinished", "mine #1"),
        ("2/seed-0", "crashed", "mine #2"),
        ("3", "crashed", "mine #3"),
    ]
    assert [run.why for run in found[3:]] == ["simulator", "simulator"]
    assert all(run.overrides["clip"] == "off" for run in found)


def test_what_a_sweep_fixed_belongs_to_the_best_command(tmp_path):
    for trial, wiring in enumerate(("separate", "crossed")):
        run = write_run(tmp_path / str(trial) / "seed-0", seed=0, wiring=wiring)
        provenance = json.loads((run / "provenance.json").read_text())
        provenance["sessions"][-1]["command"] = f"python -m td3sweep.sweep.worker {tmp_path} {trial}"
        (run / "provenance.json").write_text(json.dumps(provenance))
    trials = [
        {"number": 0, "first": 0, "state": "COMPLETE", "overrides": ["wiring=separate"]},
        {"number": 1, "first": 1, "state": "COMPLETE", "overrides": ["wiring=crossed"]},
    ]
    for trial in trials:
        trial["runs"] = [{"seed": 0, "directory": f"{trial['first']}/seed-0"}]
    base = ["experiment=ablation", "steps=900", "+env.flags=[-a,-b]", "monitor.stop_on=[d2]", "monitor=stop"]
    (tmp_path / "sweep.json").write_text(json.dumps({"name": "mine", "base": base, "trials": trials}))
    chosen = find([str(tmp_path)]).best
    words = shlex.split(chosen.command)[3:]
    assert words == ["experiment=ablation", "steps=900", "+env.flags=[-a,-b]", f"wiring={words[-1][7:]}"]
    assert words[-1] in ("wiring=separate", "wiring=crossed")


def test_a_run_without_summary_is_judged_from_its_log(tmp_path):
    write_run(tmp_path / "a", diverged=True, summary=False)
    (run,) = load([str(tmp_path)])
    assert run.verdict == "diverging"
    assert run.failed_at is not None


def test_a_log_that_was_cut_is_not_taken_for_a_finished_run(tmp_path):
    """Evaluations at 50, 100, ..., 300, of which half a metrics.jsonl keeps some; the summary beside it is whole."""
    for name in ("cut", "whole"):
        write_run(tmp_path / name, summary={"ended": "finished", "evaluated_at": 300})
    log = tmp_path / "cut" / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    findings = find([str(tmp_path)])
    assert [run.state for run in findings.runs] == ["unreadable", "finished"]
    why = "metrics.jsonl lacks the evaluation at step 300 that summary.json tells of"
    assert findings.runs[0].why.startswith(why)
    assert why in render(findings)
    assert findings.frame["return"].isna().tolist() == [True, False]
    trial = {"number": 0, "state": "PRUNED", "runs": [{"seed": 0, "directory": "cut"}]}
    (tmp_path / "sweep.json").write_text(json.dumps({"trials": [trial]}))
    assert load([str(tmp_path)])[0].state == "unreadable"


def test_a_single_run_a_csv_and_a_plain_multirun_are_sources(tmp_path):
    write_run(tmp_path / "one")
    assert [run.name for run in load([str(tmp_path / "one")])] == ["one"]
    multi = tmp_path / "multi"
    for number in (10, 9, 2):
        write_run(multi / str(number), seed=number)
    assert [run.name for run in load([str(multi)])] == ["2", "9", "10"]
    (tmp_path / "progress.csv").write_text(
        "step,actor_loss,qf1_values\n" + "".join(f"{i},-1.0,1.0\n" for i in range(30))
    )
    (csv,) = load([str(tmp_path / "progress.csv")])
    assert (csv.kind, csv.state, csv.steps) == ("table", "finished", 29)


def test_a_table_beside_runs_hides_none_of_them(tmp_path):
    write_sweep(tmp_path / "x", seeds=2)
    (tmp_path / "x" / "notes.csv").write_text("run,remark\n0,good\n")
    (tmp_path / "x" / "0" / "notes.csv").write_text("run,remark\n0,good\n")
    found = load([str(tmp_path)])
    assert [run.name for run in found] == ["x/0/seed-0", "x/0/seed-1", "x/1/seed-0", "x/1/seed-1"]


def test_an_offline_wandb_run_brings_settings_seed_and_curves(tmp_path):
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    config = {"seed": 7, "wiring": {"name": "crossed"}}
    with wandb.init(mode="offline", dir=tmp_path, project="p", config=config, settings=settings) as run:
        for step in range(20):
            run.log({"env_step": step, "q/actor": float(step), "q/q1": 1.0, "phase": "learning"})
    (found,) = load([str(tmp_path / "wandb")])
    assert (found.seed, found.config["wiring.name"], found.state) == (7, "crossed", "finished")
    assert found.series["q/actor"][1].tolist() == [float(step) for step in range(20)]


@pytest.mark.parametrize(
    ("ended", "why"),
    [("interrupted", "a signal ended it at step 400"), ("stopped by the monitor", "ended at step 400 by d2")],
)
def test_an_offline_wandb_run_of_ours_ends_as_its_summary_says(tmp_path, ended, why):
    options = {"project": "p", "entity": None, "group": "g", "name": "n", "tags": [], "config": {"seed": 0}}
    mirror = WandbMirror(mode="offline", directory=tmp_path, **options)
    for step in range(100, 401, 100):
        mirror.log({"env_step": step, "phase": "learning", "q/actor": 1.0, "q/q1": 1.0})
    summary = {"finished": False, "ended": ended, "verdict": "diverging", "alarms": [ALARM], "env_steps": 400}
    mirror.summarise(summary)
    (run,) = load([str(tmp_path / "wandb")])
    assert (run.kind, run.state, run.why, run.verdict, run.failed_at) == ("wandb", ended, why, "diverging", 400)


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load([str(tmp_path / "nowhere")])


def test_a_folder_given_twice_counts_once(tmp_path, monkeypatch):
    write_sweep(tmp_path / "x", seeds=1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("x")
    runs = load(["x", "x/", str(tmp_path / "x"), "link"])
    assert [(run.name, run.source) for run in runs] == [("0/seed-0", "x"), ("1/seed-0", "x")]
    assert [factor.name for factor in find(["x", "x/"]).factors] == ["wiring"]  # and no folder


def test_a_run_given_beside_its_folder_counts_once_and_is_the_folders(tmp_path, monkeypatch):
    write_sweep(tmp_path / "x", seeds=1)
    write_run(tmp_path / "y" / ".kept")
    monkeypatch.chdir(tmp_path)
    for sources in (["x", "x/0/seed-0"], ["x/0/seed-0", "x"]):
        assert [(run.name, run.source) for run in load(sources)] == [("0/seed-0", "x"), ("1/seed-0", "x")]
    hidden = load(["y/.kept", "y"])  # not found from above
    assert [(run.name, run.source, run.state) for run in hidden] == [
        ("y", "y", "empty"), (".kept", "y/.kept", "finished"),
    ]  # fmt: skip


def test_a_runs_own_log_given_beside_it_counts_once(tmp_path, monkeypatch):
    write_run(tmp_path / "r0")
    monkeypatch.chdir(tmp_path)
    for sources in (["r0/metrics.jsonl", "r0"], ["r0", "r0/metrics.jsonl"], [".", "r0/metrics.jsonl"]):
        assert [run.path.name for run in load(sources)] == ["r0"]
    assert [run.name for run in load(["r0/metrics.jsonl"])] == ["metrics.jsonl"]  # by itself it is a source


def test_logs_given_beside_their_folder_are_none_of_them_dropped(tmp_path, monkeypatch):
    (tmp_path / "logs").mkdir()
    for name in "ab":
        rows = "".join(f"{step},{step / 9}\n" for step in range(20))
        (tmp_path / "logs" / f"{name}.csv").write_text(f"step,q/actor\n{rows}")
    monkeypatch.chdir(tmp_path)
    found = load(["logs", "logs/a.csv", "logs/b.csv"])
    assert [run.name for run in found] == ["logs", "a.csv", "b.csv"]


def test_two_folders_are_a_factor(tmp_path):
    first = write_sweep(tmp_path / "a", seeds=1)
    second = shutil.copytree(first, tmp_path / "b")
    names = [factor.name for factor in factors(load([str(first), str(second)]), sources=2)]
    assert names == ["wiring", "folder"]


def test_a_run_that_the_audit_ended_at_once_is_listed_and_not_counted_as_sound(tmp_path):
    audit = {"detector": "d0", "level": "FAIL", "step": 0, "evidence": "H6", "cause": "H6"}
    ended = {"finished": False, "verdict": "faulty wiring", "alarms": [audit], "env_steps": 0}
    path = write_run(tmp_path / "a", rows=0, summary=ended)
    text = (path / "config.yaml").read_text().replace("name: warn", "name: stop").replace("- d1", "- d0")
    (path / "config.yaml").write_text(text)
    write_run(tmp_path / "b")
    findings = find([str(tmp_path)])
    run = next(run for run in findings.runs if run.name == "a")
    assert (run.state, run.verdict, run.failed_at) == ("stopped by the monitor", "faulty wiring", None)
    assert findings.frame.set_index("run")["diverged"].isna()["a"]
    assert any("1 of 2 runs were ended by the audit" in line for line in findings.warnings)


def stoppable(path, *alarms, **summary):
    """A run with monitor=stop, D0 among the detectors that may end it."""
    found = [{"detector": name, "level": "FAIL", "step": step, "evidence": name} for name, step in alarms]
    write_run(path, wiring="crossed", summary={"finished": False, "alarms": found, **summary})
    text = (path / "config.yaml").read_text().replace("name: warn", "name: stop").replace("- d1", "- d0")
    (path / "config.yaml").write_text(text)


def test_the_summary_tells_how_a_run_ended(tmp_path):
    audit = ("d0", 0)  # of a wiring that was asked for by name: it ends no run
    stoppable(tmp_path / "a", audit, ended="interrupted")
    stoppable(tmp_path / "b", audit, ("d2", 300), ended="stopped by the monitor")
    stoppable(tmp_path / "c", audit, ended="pruned")
    stoppable(tmp_path / "d", audit, ended="crashed")
    stoppable(tmp_path / "e", audit)  # before summaries said it
    assert [(run.state, run.why) for run in load([str(tmp_path)])] == [
        ("interrupted", "a signal ended it at step 300"),
        ("stopped by the monitor", "ended at step 300 by d2"),
        ("pruned", "called hopeless at step 300"),
        ("crashed", "an error ended it at step 300"),
        ("stopped by the monitor", "ended at step 300 by d0"),
    ]


def test_a_setting_that_was_added_since_a_run_had_its_default(tmp_path):
    path = write_run(tmp_path / "run")
    config = yaml.safe_load((path / "config.yaml").read_text()) | {"env": {"name": "carla", "traffic": 3}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    found = read_run(path, "run", str(tmp_path)).config
    assert (found["frame_stack"], found["env.traffic"], found["env.action_repeat"]) == (4, 3, 4)


def test_a_run_that_no_monitor_watched_is_judged_from_its_log(tmp_path):
    write_run(tmp_path / "ended", diverged=True, summary=UNWATCHED)
    write_run(tmp_path / "left", rows=12, summary={**UNWATCHED, "finished": False, "env_steps": 120})
    ended, left = load([str(tmp_path)])
    assert (ended.state, ended.verdict, ended.more_steps) == ("finished", "diverging", "no")
    assert (ended.failed_at is not None, left.failed_at) == (True, None)
    assert any(line.startswith("FAIL d2") for line in ended.evidence)
    assert (left.state, left.why) == ("interrupted", "a signal ended it at step 120")
