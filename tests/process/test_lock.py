"""One run directory, one process: who is refused, who is not, and when the lock is gone."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from td3sweep.errors import DirectoryInUseError
from td3sweep.process import lock
from td3sweep.process.lock import alone_in, in_use

HOLD = (
    "import subprocess, sys; from pathlib import Path; from td3sweep.process.lock import alone_in\n"
    "with alone_in(Path(sys.argv[1])):\n"
    "    child = subprocess.Popen(['sleep', '60'], close_fds=False, stdout=subprocess.DEVNULL)\n"
    "    print(child.pid, flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_a_second_one_is_refused_in_one_line_that_names_the_directory_and_the_process(tmp_path):
    run = tmp_path / "runs" / "one"
    with alone_in(run):
        assert in_use(run)
        with pytest.raises(DirectoryInUseError) as refused, alone_in(run):
            pytest.fail("two in one directory")
        assert not in_use(tmp_path / "runs")
    assert refused.value.exit_code == 2
    assert f"{run}: " in str(refused.value)
    assert f"process {os.getpid()} on " in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not in_use(run)
    with alone_in(run):
        assert in_use(run)


def test_it_ends_with_its_process_though_a_child_of_that_lives_on(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = int(holder.stdout.readline())
    try:
        assert in_use(tmp_path)
        holder.kill()
        holder.communicate()
        assert os.path.exists(f"/proc/{child}")
        assert not in_use(tmp_path)
        with alone_in(tmp_path):
            pass
    finally:
        os.kill(child, 9)


def test_a_directory_without_the_file_is_free_and_stays_without(tmp_path):
    assert not in_use(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path, monkeypatch, caplog, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with alone_in(tmp_path):
        assert not in_use(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(tmp_path) in caplog.text


def test_one_that_asks_for_it_while_another_only_looks_is_not_refused(tmp_path, monkeypatch):
    with alone_in(tmp_path):
        pass
    with (tmp_path / lock.NAME).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        monkeypatch.setattr(lock.time, "sleep", lambda _: fcntl.flock(looking, fcntl.LOCK_UN))
        with alone_in(tmp_path):
            assert in_use(tmp_path)
