"""A job's command as a child: bound to its parent, its output appended, its end in words."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from td3sweep.sweep.engines import child


def test_output_is_appended_and_the_environment_passed(tmp_path):
    log = tmp_path / "new" / "log"
    for word in ("one", "two"):
        assert child.start(["sh", "-c", "echo $WORD; echo oops >&2; exit 3"], log, {"WORD": word}).wait(20) == 3
    assert log.read_text().splitlines() == ["one", "oops", "two", "oops"]


def test_an_unknown_program_is_said_in_the_log(tmp_path):
    assert child.start(["/no/such/program"], tmp_path / "log", {}).wait(20) == 1
    assert (tmp_path / "log").read_text() == "/no/such/program: No such file or directory\n"


def test_it_dies_with_a_parent_that_is_killed(tmp_path):
    code = f"""
from pathlib import Path
from td3sweep.sweep.engines import child
process = child.start(["sleep", "600"], Path({str(tmp_path / "log")!r}), {{}})
print(process.pid, flush=True)
process.wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        deadline = time.monotonic() + 20
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":  # bound.py is still at work
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.kill()
    while _alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("cpus", "gpu", "expected"),
    [
        (4, True, {"OMP_NUM_THREADS": "4"}),
        (0.5, False, {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}),
    ],
)
def test_placed(cpus, gpu, expected):
    assert child.placed(cpus, gpu=gpu) == expected


def test_an_end_note_is_there_until_it_is_taken_back(tmp_path):
    note = child.EndNote(tmp_path / "17.end")
    assert note.read() is None
    note.remove()
    note.write("exit code 0")
    assert child.EndNote(tmp_path / "17.end").read() == "exit code 0"
    note.remove()
    assert note.read() is None
    assert list(tmp_path.iterdir()) == []
