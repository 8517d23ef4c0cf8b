"""Who lives: at once on this machine, by beats elsewhere."""

import json
import os
import subprocess
import sys
import time

from td3sweep.process import lease as module
from td3sweep.process.lease import PATIENCE_S, Lease, is_alive


def test_it_lives_while_it_is_entered_and_leaves_no_file(tmp_path):
    path = tmp_path / "folder" / "me.json"
    assert not is_alive(path)
    with Lease(path):
        assert is_alive(path)
    assert not path.exists()


def test_a_killed_process_is_dead_at_once(tmp_path):
    path = tmp_path / "it.json"
    code = (
        f"import pathlib; from td3sweep.process.lease import *; Lease(pathlib.Path({str(path)!r})).__enter__(); input()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    while not path.exists():
        time.sleep(0.02)
    assert is_alive(path)
    process.kill()
    process.wait()
    assert not is_alive(path)


def test_a_process_id_that_passed_to_another_is_not_the_holder(tmp_path):
    path = tmp_path / "it.json"
    with Lease(path):
        held = json.loads(path.read_text())
        path.write_text(json.dumps({**held, "start": "1"}))
        assert not is_alive(path)


def test_a_holder_elsewhere_lives_by_its_beats(tmp_path):
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"host": "another", "pid": 1, "start": "1"}))
    assert is_alive(path)
    late = time.time() - PATIENCE_S - 1
    os.utime(path, (late, late))
    assert not is_alive(path)


def test_who_may_not_write_there_tells_the_time_himself(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError

    monkeypatch.setattr(module.tempfile, "NamedTemporaryFile", refuse)
    test_a_holder_elsewhere_lives_by_its_beats(tmp_path)


def test_beats_keep_it_fresh_and_call_along(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    path, calls = tmp_path / "it.json", []
    with Lease(path, on_beat=lambda: calls.append(1)):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 or not calls:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_lease_that_another_has_taken_over_is_left_to_it(tmp_path):
    path = tmp_path / "it.json"
    with Lease(path):
        path.write_text(json.dumps({"host": "another", "pid": 1, "start": "1"}))
    assert path.exists()
