"""Online tracking against a stand-in for W&B's API: what arrives, resuming, and a network that goes away."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console
from wandb_stub import ENTITY, KEY, PROJECT, WandbStub

from td3sweep.record import wandb as tracking
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.record.wandb import WandbMirror

pytestmark = pytest.mark.slow


@pytest.fixture
def stub(monkeypatch, tmp_path):
    import wandb

    wandb.teardown()  # it reads its environment once
    server = WandbStub()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield server
    server.down = False
    wandb.teardown()
    server.stop()


def mirror_of(directory, mode="online"):
    return WandbMirror(
        mode=mode, directory=directory, project=PROJECT, entity=ENTITY, group="sweep", name="first",
        tags=["wiring=crossed"], config={"seed": 3, "hyperparams": {"gamma": 0.9}},
    )  # fmt: skip


def filled(path):
    """A run directory with a film strip and two checkpoints."""
    (path / "checkpoints").mkdir(parents=True)
    for step in (5, 10):
        (path / "checkpoints" / f"step-{step}.pt").write_bytes(b"weights" * step)
        os.utime(path / "checkpoints" / f"step-{step}.pt", (step, step))
    Image.new("RGB", (8, 8)).save(path / "film.png")
    return path


def test_a_run_arrives_with_group_settings_rows_alert_film_checkpoint_and_verdict(stub, tmp_path):
    directory = RunDirectory(filled(tmp_path / "run"))
    mirror = mirror_of(directory.path)
    for step in range(30):
        mirror.log({"env_step": step, "q/actor": 2.0 * step})
    mirror.alert("FAIL d2 at step 7", "the actor's Q left its range")
    mirror.keep(directory.film, directory.checkpoints)
    mirror.summarise({"verdict": "diverging"})
    (run,) = stub.runs
    told = stub.runs[run]
    assert (told["groupName"], told["jobType"], told["displayName"]) == ("sweep", "train", "first")
    assert json.loads(told["config"])["hyperparams"]["value"] == {"gamma": 0.9}
    rows = [row for row in stub.history[run] if "q/actor" in row]
    assert [(row["env_step"], row["q/actor"]) for row in rows] == [(step, 2.0 * step) for step in range(30)]
    assert [alert["title"] for alert in stub.alerts] == ["FAIL d2 at step 7"]
    assert any("film" in row for row in stub.history[run])
    assert any(name.startswith("media/images/film") for name in stub.files)
    assert [artefact["artifactTypeName"] for artefact in stub.artifacts] == ["model"]
    assert "step-10.pt" in stub.files
    assert "step-5.pt" not in stub.files
    assert stub.exits == {run: 0}
    assert not stub.unknown


@pytest.mark.parametrize(("ended", "code"), [("interrupted", 0), ("crashed", 1)])
def test_only_what_an_error_ended_stands_as_failed(stub, tmp_path, ended, code):
    mirror_of(tmp_path).summarise({"ended": ended})
    assert list(stub.exits.values()) == [code]


def test_a_resumed_run_goes_on_as_the_same_run(stub, tmp_path):
    for session in range(2):
        mirror = mirror_of(tmp_path)
        for step in range(3):
            mirror.log({"env_step": 3 * session + step, "q/actor": 1.0})
        mirror.summarise({})
    (run,) = stub.runs
    assert [row["env_step"] for row in stub.history[run]] == [0, 1, 2, 3, 4, 5]


def test_two_sittings_tracked_offline_are_sent_one_behind_the_other(stub, tmp_path):
    for session in range(2):
        mirror = mirror_of(tmp_path, mode="offline")
        for step in range(3):
            mirror.log({"env_step": 3 * session + step, "q/actor": 1.0})
        mirror.summarise({})
    folders = sorted(map(str, tmp_path.glob("wandb/offline-run-*")))
    command = [str(Path(sys.executable).parent / "wandb"), "sync", *folders]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = stub.runs
    found = [(row["env_step"], row["_step"]) for row in stub.history[run] if "env_step" in row]
    assert found == [(step, step) for step in range(6)]  # else the second takes the places of the first


def test_a_network_lost_in_the_middle_neither_blocks_nor_loses_a_row(stub, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "FINISH_S", 2)
    directory = RunDirectory(filled(tmp_path / "run"))
    recorder = Recorder(directory, Console(quiet=True), mirror_of(directory.path))
    slowest = 0.0
    for step in range(400):
        stub.down = step >= 100
        started = time.monotonic()
        recorder.log(step, step, "learning", {"q/actor": float(step)})
        slowest = max(slowest, time.monotonic() - started)
    started = time.monotonic()
    recorder.close({"verdict": "healthy"})
    assert time.monotonic() - started < 15
    assert slowest < 1.0
    rows = [json.loads(line) for line in directory.metrics.read_text().splitlines()]
    assert [row["env_step"] for row in rows] == list(range(400))
    (mirrored,) = directory.path.glob("wandb/run-*/*.wandb")  # what could not be sent waits for `wandb sync`
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(mirrored)]
    text = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    kept = [json.loads(line) for line in text.splitlines()]
    assert sum(record["type"] == "history" and "q/actor" in record["history"]["item"] for record in kept) == 400


def test_without_a_network_at_the_start_the_run_is_tracked_offline(stub, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tracking, "INIT_S", 2)
    stub.down = True
    mirror = mirror_of(tmp_path)
    mirror.log({"env_step": 1, "q/actor": 1.0})
    mirror.summarise({})
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1
    assert "wandb sync" in caplog.text
    assert not stub.runs


def test_a_training_run_outlives_the_network(stub, tmp_path):
    """The main command with tracking=wandb, the network gone as soon as the run has begun."""
    overrides = [
        "tracking=wandb", f"tracking.entity={ENTITY}", "demonstrations=none", "critic_only_updates=0",
        "steps=60", "warmup=30", "hyperparams.batch_size=4",
        "log_every=2", "eval_every=1000", "eval_episodes=1", "env.max_episode_steps=10", "threads=1",
        f"hydra.run.dir={tmp_path / 'run'}",
    ]  # fmt: skip
    environment = {**os.environ, "WANDB_MODE": "online"}
    command = [sys.executable, "-m", "td3sweep", *overrides]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as job:
        while not stub.runs and job.poll() is None:
            time.sleep(0.05)
        stub.down = True
        said = job.communicate(timeout=300)[0]
    assert job.returncode == 0, said
    assert "verdict" in said.splitlines()[-1]
    assert len(stub.runs) == 1
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["env_step"] == 60
    assert {row["updates"] for row in rows if "q/q1" in row} == set(range(2, rows[-1]["updates"] + 1, 2))
