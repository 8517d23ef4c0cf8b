"""The main job on the stand-in: every combination trains, signals save, runs extend; kills: test_kill_9.py."""

import json
import os
import signal
import time

import pytest
from command import LAST_LINE, QUICK, command, finish, start

from td3sweep.record.console import typed_python
from td3sweep.training.run import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("cnn", ["nature", "pooled"])
@pytest.mark.parametrize("recurrent", ["none", "gru48", "lstm256"])
def test_every_combination_trains(tmp_path, settings, cnn, recurrent):
    few = [] if recurrent == "none" else ["hyperparams.batch_size=4"]  # windows, of five transitions
    outcome = run(settings(*QUICK, f"cnn={cnn}", f"recurrent={recurrent}", *few, "steps=90"), tmp_path)
    assert outcome.exit_code == 0
    assert outcome.summary["updates"] == 30
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss/critic"] for row in rows if "loss/critic" in row]
    assert len(losses) == 3
    assert all(0 < loss < 1e6 for loss in losses)
    assert any("grad/critic/memory/after" in row for row in rows) == (recurrent != "none")


@pytest.mark.parametrize("preset", ["current", "as_ran", "author", "mpg"])
def test_every_hyperparams_preset_trains(tmp_path, settings, preset):
    overrides = ["hyperparams=" + preset, "target=mpg"] if preset == "mpg" else ["hyperparams=" + preset]
    outcome = run(settings(*overrides, *QUICK, "steps=90"), tmp_path)
    assert outcome.summary["updates"] == 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR2, 140)])
def test_a_signal_saves_and_leaves_no_server_behind(tmp_path, number, code):
    process = start(*QUICK, "steps=5000", f"hydra.run.dir={tmp_path}")
    while not (tmp_path / "metrics.jsonl").exists() or not (tmp_path / "metrics.jsonl").read_text():
        assert process.poll() is None, finish(process)
        time.sleep(0.05)
    servers = children(process.pid)
    assert servers
    process.send_signal(number)
    found, out, err = finish(process, timeout=60)
    assert found == code, err
    last = LAST_LINE.fullmatch(out.splitlines()[-1])
    steps = int(last[2])
    assert 0 < steps < 5000
    assert json.loads((tmp_path / "summary.json").read_text())["ended"] == "interrupted"
    assert (tmp_path / "checkpoints" / f"step-{steps:012}.pt").exists()
    assert not [pid for pid in servers if os.path.exists(f"/proc/{pid}")]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_the_last_line_the_summary_and_a_run_that_is_extended(tmp_path):
    code, out, err = command(*QUICK, f"hydra.run.dir={tmp_path}")
    assert code == 0, err
    last = LAST_LINE.fullmatch(out.splitlines()[-1])
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (last[1], int(last[2]), last[5]) == (str(tmp_path), 120, summary["verdict"])
    assert summary["ended"] == "finished"
    assert summary["verdict"] != "healthy"  # too little data is never healthy
    assert {"first_alarm_step", "alarms", "updates_per_s", "peak_rss_bytes", "final_length"} <= summary.keys()
    assert "evaluation starts to the end, return " in out
    assert f"next: {typed_python()} -m td3sweep." in out
    assert "stand-in" in out
    again = command(*QUICK, f"hydra.run.dir={tmp_path}")
    assert again[0] == 0
    assert "already finished" in again[1]
    longer = [word for word in QUICK if not word.startswith("steps=")] + ["steps=150"]
    code, out, err = command(*longer, f"hydra.run.dir={tmp_path}")
    assert code == 0, err
    assert "resumed at step 120" in out
    assert LAST_LINE.fullmatch(out.splitlines()[-1])[2] == "150"


def test_resume_last_finds_the_run_and_refuses_other_settings(tmp_path):
    stopped = start(*QUICK, "steps=3000", "name=mine", cwd=tmp_path)
    while not list(tmp_path.glob("runs/mine/*/episodes.jsonl")):
        time.sleep(0.05)
        assert stopped.poll() is None, finish(stopped)
    time.sleep(1)
    stopped.terminate()
    assert finish(stopped)[0] == 143
    code, _, err = command(*QUICK, "name=mine", "resume=last", "hyperparams.gamma=.9", cwd=tmp_path)
    assert (code, "hyperparams.gamma" in err) == (2, True)
    code, out, err = command(*QUICK, "name=mine", "resume=last", "steps=200", cwd=tmp_path)
    assert code == 0, err
    assert len(list(tmp_path.glob("runs/mine/*"))) == 1 or "resumed at step" in out


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, settings):
    run(settings(*QUICK), tmp_path / "nature")
    other = settings(*QUICK, "cnn=pooled")
    run(other, tmp_path / "pooled")
    for path in (tmp_path / "pooled" / "checkpoints").iterdir():
        path.unlink()
    for path in (tmp_path / "nature" / "checkpoints").iterdir():
        path.rename(tmp_path / "pooled" / "checkpoints" / path.name)
    longer = [word for word in QUICK if not word.startswith("steps=")] + ["steps=150", "cnn=pooled"]
    code, _, err = command(*longer, f"hydra.run.dir={tmp_path}/pooled")
    assert (code, "Traceback" in err) == (2, False)
    assert "conv" in err


def test_a_signal_ends_a_multirun_after_its_trial_has_saved(tmp_path):
    process = start("--multirun", *QUICK, "steps=4000", "hyperparams.gamma=.9,.95,.99", f"hydra.sweep.dir={tmp_path}")
    episodes = tmp_path / "0" / "seed-0" / "episodes.jsonl"
    while not episodes.exists() or not episodes.read_text():
        assert process.poll() is None, finish(process)
        time.sleep(0.05)
    process.terminate()
    assert finish(process)[0] == 143
    assert list((tmp_path / "0" / "seed-0" / "checkpoints").glob("*.pt"))
    assert not (tmp_path / "1").exists()


def test_offline_wandb_mirrors_the_metrics(tmp_path, settings):
    tracked = [word for word in QUICK if not word.startswith("tracking")]
    outcome = run(settings(*tracked, "steps=80"), tmp_path)
    assert outcome.exit_code == 0
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


def test_crossed_wiring_runs_and_says_so(tmp_path):
    code, out, err = command(*QUICK, "wiring=crossed", "steps=80", f"hydra.run.dir={tmp_path}")
    assert code == 0, err
    assert "the known fault" in out


def test_a_multirun_runs_every_combination(tmp_path):
    arguments = ["--multirun", *QUICK, "steps=80", "hyperparams.gamma=.9,.99", f"hydra.sweep.dir={tmp_path}"]
    code, _, err = command(*arguments)
    assert code == 0, err
    gammas = [(tmp_path / job / "seed-0" / "config.yaml").read_text().count("gamma: 0.9\n") for job in ("0", "1")]
    assert gammas == [1, 0]
