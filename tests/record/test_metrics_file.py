"""metrics.jsonl: strict JSON, whole lines, and rewinding to a checkpoint."""

import json
import math

from td3sweep.record.metrics import JsonLines


def rows(path):
    return [json.loads(line, parse_constant=lambda name: 1 / 0) for line in path.read_text().splitlines()]


def test_rows_come_back(tmp_path):
    file = JsonLines(tmp_path / "m.jsonl")
    file.write({"env_step": 1, "q/q1": 0.5})
    file.write({"env_step": 2, "phase": "learning"})
    assert rows(file.path) == [{"env_step": 1, "q/q1": 0.5}, {"env_step": 2, "phase": "learning"}]


def test_what_json_cannot_hold_is_null_and_named(tmp_path):
    file = JsonLines(tmp_path / "m.jsonl")
    file.write({"a": math.nan, "b": -math.inf, "c": 1.0})
    assert rows(file.path) == [{"a": None, "b": None, "c": 1.0, "not_finite": ["a", "b"]}]


def test_rows_after_the_checkpoint_are_forgotten_by_a_resumed_run(tmp_path):
    path = tmp_path / "m.jsonl"
    killed = JsonLines(path)
    killed.write({"n": 1})
    offset = killed.offset()
    killed.write({"n": 2})
    with path.open("a") as torn:
        torn.write('{"n": 3, "half')
    resumed = JsonLines(path)
    resumed.rewind(offset)
    resumed.write({"n": 20})
    assert rows(path) == [{"n": 1}, {"n": 20}]
