"""Rows, their goals, the ratio's interval, and the document made of them."""

import io
import json

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks.performance import update_rows
from benchmarks.performance.blocks import interleaved, ratio
from benchmarks.performance.rows import Goal, Row, show
from benchmarks.performance.sections import QUICK, Section, speed_row

CONTRACT = {"name", "ours", "peer", "ratio", "goal", "holds"}


def test_goals_bound_what_they_name():
    faster = Row("a", ours=10.0, peer=4.0, ratio=2.5, goal=Goal("ratio", ">=", 2.2, 2.8))
    assert faster.holds is True
    assert Row("a", ours=10.0, peer=5.0, ratio=2.0, goal=faster.goal).holds is False
    assert Row("a", ours=7300.0, peer=50.0, ratio=146.0, goal=Goal("ours", "<=", 7400)).holds is True
    assert Row("a", ours=1.0, ratio=9.0).holds is None
    assert Row("a", goal=faster.goal, skipped="no").holds is None
    assert str(faster.goal) == "ratio >= 2.2 (stretch 2.8)"


def test_a_speed_row_inverts_seconds():
    row = speed_row("a", [0.1, 0.1, 0.2], [0.3, 0.2, 0.2], "b", None, "")
    assert (row.ours, row.peer) == pytest.approx((10.0, 5.0))
    assert row.ratio == pytest.approx(2.0)
    assert row.interval[0] <= 2.0 <= row.interval[1]


def test_blocks_that_slow_down_together_leave_no_interval():
    value, (low, high) = ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0])
    assert value == low == high == 2.0


def test_contestants_take_turns_and_the_first_block_only_warms_up():
    order, ticks = [], []

    def contestant(name):
        return lambda: order.append(name) or {name: float(len(order))}

    seconds = interleaved([contestant("a"), contestant("b")], 2, lambda: ticks.append(1))
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert len(ticks) == 3


def test_what_cannot_be_measured_says_why(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    rows = update_rows.cuda(QUICK, lambda done, parts: None)
    assert [row.skipped for row in rows] == ["no CUDA device"] * 4
    shown = io.StringIO()
    show([row.as_dict() for row in rows], Console(file=shown, width=200))
    assert shown.getvalue().count("skipped: no CUDA device") == 4


def test_a_missing_peer_is_named_with_the_remedy():
    assert update_rows.installed("no_such_package_at_all").endswith("not installed: pip install -e '.[benchmarks]'")
    assert update_rows.installed("torch") == ""


@pytest.fixture
def stored(monkeypatch, tmp_path):
    """The command with one made-up section, its files in a folder of the test's."""
    made = Section(
        "made", 1, lambda size, told: told(1, 1) or [Row("x", "s", 1.0, goal=Goal("ours", "<=", 2), note="n")]
    )
    monkeypatch.setattr(command, "SECTIONS", (made,))
    monkeypatch.setattr(command, "DATA", tmp_path / "performance.json")
    monkeypatch.setattr(command, "DOCUMENT", tmp_path / "performance.md")
    (tmp_path / "performance.md").write_text("before\n<!-- performance -->\nold\n<!-- /performance -->\nafter\n")
    return tmp_path


def test_json_has_the_shape_of_the_contract(stored, capsys):
    command.main(["--json"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert set(found) == {"machine", "rows"}
    assert set(found["rows"][0]) >= CONTRACT
    assert found["rows"][0]["holds"] is True
    assert "left" in err


def test_saving_makes_the_documents_section_anew_and_keeps_other_rows(stored, capsys):
    command.main(["--save"])
    data = json.loads((stored / "performance.json").read_text())
    data["rows"].append({**data["rows"][0], "name": "from before"})
    (stored / "performance.json").write_text(json.dumps(data))
    command.main(["--save"])
    document = (stored / "performance.md").read_text()
    assert document.startswith("before\n<!-- performance -->\nMachine: processor ")
    assert document.endswith("<!-- /performance -->\nafter\n")
    assert "\nold\n" not in document
    assert "| x | 1 s |" in document
    assert "from before" in document
    with pytest.raises(SystemExit):
        command.main(["--save", "--quick"])
