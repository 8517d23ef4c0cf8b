"""A test that hangs with Python's lock held costs its worker, is tried again, and the others go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HANGS = """
import ctypes
import pathlib

import pytest


@pytest.mark.timeout(1)
def test_hangs_once():
    here = pathlib.Path(__file__).with_name("hung")
    if not here.exists():
        here.touch()
        ctypes.PyDLL(None).sleep(300)  # PyDLL does not release the lock


def test_another():
    pass
"""


@pytest.mark.slow
def test_a_hang_with_the_lock_held(tmp_path):
    (tmp_path / "test_hangs.py").write_text(HANGS)
    limits = ["-o", "timeout=60", "-o", "timeout_method=thread", "--reruns", "1", "--only-rerun", "the process died"]
    words = ["-c", os.devnull, "--rootdir", str(tmp_path), "-p", "conftest", "-n", "1", *limits, str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed, 1 rerun" in done.stdout
    assert "in test_hangs_once" in done.stderr
