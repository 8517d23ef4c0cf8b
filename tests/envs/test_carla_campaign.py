"""Training through every kind of fault, and for a while under a rain of them: the short forms of two benchmarks."""

import math

import pytest

from benchmarks.page import replace_section
from benchmarks.robustness import carla_faults, carla_soak

pytest.importorskip("carla")
pytestmark = pytest.mark.slow


def test_a_run_survives_one_fault_of_every_kind_and_stores_nothing_wrong():
    found = carla_faults.measure(8, gone_s=8.0)
    assert found["injected"] == dict.fromkeys(carla_faults.KINDS, 1)
    assert {claim for claim, holds in found["checks"].items() if not holds} == set(), found["log"]
    assert found["transitions_checked"] > 30
    assert found["updates"] > 5


def test_a_soak_leaves_nothing_behind():
    found = carla_soak.measure(1.5, every=15.0, restart_every=4, sample_every=2.0)
    assert (found["exit_code"], found["left"]) == (143, [])
    assert sum(found["strikes"].values()) >= 4
    assert sum(found["faults"].values()) >= 3
    assert found["steps"] > 100
    files = found["samples"]["trainer_files"]
    assert max(files[len(files) // 2 :]) <= max(files[: len(files) // 2]) + 2
    # Of what is struck so often there may be too few samples for a slope, on a machine that has other work.
    assert all(
        math.isfinite(number) for name in ("trainer_mb", "trainer_files") for number in found["slopes_per_hour"][name]
    )
    assert "0 left" in carla_soak.section(found)


def test_the_slope_of_a_line_is_its_slope():
    minutes = [float(minute) for minute in range(20)]
    samples = {"minute": minutes, "trainer_mb": [100.0 + minute / 6.0 for minute in minutes]}
    assert carla_soak.slopes(samples) == {"trainer_mb": [10.0, 10.0, 10.0]}


def test_a_section_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- soak -->\nold\n<!-- /soak -->\nbelow\n")
    replace_section("soak", "new", page)
    assert page.read_text() == "above\n<!-- soak -->\nnew\n<!-- /soak -->\nbelow\n"
    with pytest.raises(ValueError, match="no section"):
        replace_section("faults", "new", page)
