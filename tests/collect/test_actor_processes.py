"""Actors in real processes on the stand-in: whoever is killed, the run goes on or leaves nothing behind."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from command import QUICK, finish, start

from td3sweep.collect.schedule import stalest
from td3sweep.record.definitions import is_defined
from td3sweep.training.run import run

pytestmark = pytest.mark.slow
pytest.importorskip("carla")


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def parents():
    """The parent of every process that is not a zombie."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def below(pid):
    """All living descendants of a process."""
    tree = parents()
    found, new = set(), {pid}
    while new := {child for child, parent in tree.items() if parent in new} - found:
        found |= new
    return found


def words(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def actors(pid):
    return [child for child in below(pid) if "td3sweep.collect.actor_process" in words(child)]


def test_two_actors_train_on_two_stand_ins(tmp_path, settings):
    # Of the 70 steps after the 50th one actor takes 35 or more, so that it ends an episode: then an evaluation is made.
    often = ("eval_every=50", "env.max_episode_steps=20")
    outcome = run(settings(*QUICK, "actors=2", "recurrent=gru48", *often), tmp_path)
    assert outcome.exit_code == 0
    summary = outcome.summary
    assert (summary["env_steps"], summary["updates"], summary["faults"]) == (120, 60, 0)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    names = {name for row in rows for name in row} - {"env_step", "updates", "phase", "not_finite"}
    assert [name for name in names if not is_defined(name)] == []
    assert max(row.get("actors/staleness_max", 0) for row in rows) <= stalest(2, 1.0)
    assert sum("eval/return" in row for row in rows) >= 2
    servers = [(tmp_path / f"actor-{place}" / "server.log").read_text() for place in (0, 1)]
    assert servers[0] != servers[1]  # each has ports of its own


def test_a_killed_actor_is_replaced_and_a_killed_trainer_leaves_nothing(tmp_path):
    arguments = [*QUICK, "steps=400", "warmup=60", "save_every=10", "actors=2", f"hydra.run.dir={tmp_path}"]
    process = start(*arguments)
    console = tmp_path / "console.log"
    wait_until(lambda: any(tmp_path.glob("checkpoints/step-*7?.pt")))
    os.kill(actors(process.pid)[0], signal.SIGKILL)
    wait_until(lambda: "its process is gone: ended by SIGKILL" in console.read_text())
    newest = max(tmp_path.glob("checkpoints/step-*.pt"))
    wait_until(lambda: len(actors(process.pid)) == 2 and max(tmp_path.glob("checkpoints/step-*.pt")) > newest)
    family = below(process.pid)
    assert len([pid for pid in family if "td3sweep.standin" in words(pid)]) >= 1
    process.kill()
    finish(process)
    wait_until(lambda: not family & parents().keys(), 30)
    process = start(*arguments, "steps=200")
    code, out, err = finish(process)
    assert code == 0, err
    assert "resumed at step" in out
    assert json.loads((tmp_path / "summary.json").read_text())["faults"] >= 1
