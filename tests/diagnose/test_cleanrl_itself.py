"""CleanRL's own TD3, really run: its log is read, and the hook's three lines judge it without disturbing it."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cleanrl", reason="pip install --no-deps cleanrl==0.4.8")
pytestmark = pytest.mark.slow
DRIVER = Path(__file__).with_name("cleanrl_itself.py")
STEPS, LEARNING_STARTS = 2000, 500


def train(how, folder):
    command = [sys.executable, DRIVER, how, str(STEPS), str(LEARNING_STARTS)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    (log,) = (folder / "runs").iterdir()
    return log, done.stdout


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train("plain", tmp_path_factory.mktemp("plain"))[0]


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    return train("hooked", tmp_path_factory.mktemp("hooked"))


def scalars(log, tag):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(log))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_its_log_is_read_and_nothing_fails(plain, diagnose):
    code, out, _ = diagnose(str(plain), "--warmup", str(LEARNING_STARTS), "--r-max", "17")
    assert code == 0
    assert "losses/actor_loss = loss/actor" in out
    assert "charts/episode_reward = episode/return" in out
    assert "gamma is not known" not in out  # its table of arguments tells it
    assert "d2: q/q1 not logged" in out
    assert "FAIL" not in out


def test_three_lines_in_it_judge_what_its_log_cannot_show(hooked):
    _, out = hooked
    report = out[out.index("verdict:") :]
    assert "FAIL" not in report
    assert not {"d1:", "d2:", "d3:"} & set(report.split())  # none is left out for want of data


def test_the_three_lines_change_nothing(plain, hooked):
    for tag in ("losses/actor_loss", "losses/qf1_loss", "charts/episode_reward"):
        assert scalars(plain, tag) == scalars(hooked[0], tag)
    assert len(scalars(plain, "losses/actor_loss")) == (STEPS - LEARNING_STARTS) // 100 - 1
