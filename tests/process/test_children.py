"""Processes that work for a trainer: what they heed, and how their ends are told."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from bare_drive import bare

from td3sweep.process.children import end, how

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def python(code):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def test_an_exit_code_is_told():
    assert end(python("raise SystemExit(3)"), 20.0) == "exit code 3"


def test_a_process_that_does_not_leave_is_killed():
    process = python(STUBBORN)
    process.stdout.readline()
    process.terminate()
    assert end(process, 0.2) == "ended by SIGKILL"
    assert process.returncode == -signal.SIGKILL


def test_the_environments_process_leaves_a_jobs_signals_to_the_trainer():
    pytest.importorskip("carla")
    from td3sweep.envs.carla.isolated import IsolatedCarlaEnv

    with IsolatedCarlaEnv(bare()) as env:
        env.reset(seed=0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            env._worker.send_signal(number)
            env.step(np.zeros(2, np.float32))
        assert (env.faults, env._worker.poll()) == (0, None)


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit code 0"), (140, "exit code 140"), (-signal.SIGKILL, "ended by SIGKILL")]
)
def test_the_end_in_words(code, words):
    assert how(code) == words
