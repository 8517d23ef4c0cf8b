"""The command itself, once and quickly: shapes and sanity, never a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_quick_table_has_every_row():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["machine"]["processor"]
    for row in found["rows"]:
        if row["skipped"]:
            assert row["ours"] is None
            continue
        assert row["ours"] > 0, row
        if row["peer"] is not None:
            assert row["ratio"] == pytest.approx(row["ours"] / row["peer"], rel=0.01), row
    goals = [row["name"] for row in found["rows"] if row["goal"]]
    assert len(goals) == 12, goals
    measured = [row for row in found["rows"] if not row["skipped"]]
    shares = [row for row in measured if row["name"].startswith(("share of", "full loop", "sampling", "monitor"))]
    assert all(0 < row["ratio"] < 1.5 for row in shares), shares
    assert "left" in done.stderr
