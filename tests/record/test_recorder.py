"""Gathering between logs, the time left, and a mirror that may fail without harm."""

import json

import pytest
import torch
from rich.console import Console

from td3sweep.record.progress import format_duration
from td3sweep.record.recorder import Recorder
from td3sweep.record.rundir import RunDirectory
from td3sweep.record.wandb import WandbMirror


@pytest.fixture
def recorder(tmp_path):
    return Recorder(RunDirectory(tmp_path), Console(quiet=True), None)


def gather(recorder, *rows):
    for row in rows:
        recorder.gather({key: torch.tensor(value) for key, value in row.items()})


def test_a_row_is_the_mean_of_the_updates_that_had_the_key_and_the_maximum_of_maxima(recorder):
    gather(
        recorder, {"q/q1": 1.0, "q/actor_max": 5.0}, {"q/q1": 2.0, "q/actor": 7.0}, {"q/q1": 6.0, "q/actor_max": 4.0}
    )
    assert recorder.gathered() == {"q/q1": 3.0, "q/actor_max": 5.0, "q/actor": 7.0}
    assert recorder.gathered() == {}


def test_a_half_gathered_row_survives_a_restart(recorder, tmp_path):
    gather(recorder, {"q/q1": 1.0})
    saved = recorder.state_dict()
    other = Recorder(RunDirectory(tmp_path), Console(quiet=True), None)
    other.load_state_dict(saved)
    gather(other, {"q/q1": 2.0})
    assert other.gathered() == {"q/q1": 1.5}


def test_a_half_gathered_row_of_the_cpu_is_logged_on_the_device_that_the_run_goes_on_with(recorder, monkeypatch):
    stacked = []

    def stack(values):
        stacked.extend(value.device.type for value in values)
        return torch.tensor([7.0, 5.0])

    monkeypatch.setattr(torch, "stack", stack)
    sums = {"q/q1": torch.tensor(1.0), "q/actor_max": torch.tensor(2.0)}
    recorder.load_state_dict({"metrics": 0, "episodes": 0, "sums": sums, "counts": {"q/q1": 1, "q/actor_max": 1}})
    recorder.gather(
        {"q/q1": torch.tensor(6.0, device="meta")}
    )  # what is only now and then gathered, such as the actor's
    assert recorder.gathered() == {"q/q1": 3.5, "q/actor_max": 5.0}
    assert stacked == ["meta", "meta"]


def test_a_row_that_was_saved_whole_is_logged_as_it_was(recorder):
    recorder.load_state_dict({"metrics": 0, "episodes": 0, "sums": {"q/q1": torch.tensor(3.0)}, "counts": {"q/q1": 2}})
    assert recorder.gathered() == {"q/q1": 1.5}


def test_the_time_left_counts_steps_and_updates_apart(recorder):
    with recorder.progress(100, 0):
        recorder.spent("step", 0.01)
        recorder.show(50, "warm-up", updates_left=40)
        recorder.log(50, 0, "warm-up", {})
        recorder.spent("update", 0.5)
        recorder.show(50, "learning", updates_left=40)
        recorder.log(51, 1, "learning", {})
    first, second = (json.loads(line) for line in recorder._metrics.path.read_text().splitlines())
    assert "time/eta_s" not in first  # no update timed yet: unknown, not a guess
    assert second["time/eta_s"] == pytest.approx(50 * 0.01 + 40 * 0.5)


def test_durations_read_like_a_clock():
    assert [format_duration(s) for s in (5, 75, 3725)] == ["0:05", "1:15", "1:02:05"]


def test_wandb_that_cannot_start_leaves_a_warning_and_a_run_that_goes_on(tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    options = {"entity": None, "group": "g", "name": "n", "tags": [], "config": {}}
    mirror = WandbMirror(mode="offline", directory=tmp_path, project="p", **options)
    mirror.log({"env_step": 1})
    mirror.alert("title", "text")
    mirror.summarise({"verdict": "undetermined"})
    assert len([r for r in caplog.records if "going on without it" in r.message]) == 1


def test_a_demonstrators_return_is_not_shown_as_the_policys(recorder):
    shown = []
    recorder.progress(100, 0).update = lambda **told: shown.append(told["note"])
    episode = {"return": 700.0, "length": 200, "success": True, "terms": {}, "bias": None}
    for phase in ("demonstrations", "learning"):
        recorder.episode(10, 0, phase, episode)
        recorder.show(10, "warm-up", 0)
    assert [note.split("700")[0] for note in shown] == ["demonstrator's return ", "return "]
