"""The page: one file with everything in it, the answer on top, every run accounted for, nothing from outside."""

import json
import re

import numpy as np
import pytest
from made_up_runs import crossed, run, write_run, write_sweep

from td3sweep.report.curves import grid, grouped, on_grid, thinned
from td3sweep.report.findings import as_json, conclude, find
from td3sweep.report.page import render
from td3sweep.report.svg import Scale, short


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return render(find([str(write_sweep(tmp_path_factory.mktemp("sweep")))]))


def test_the_page_opens_with_the_answer(page):
    first = re.search(r"<h1[^>]*>(.*?)</h1>\s*<p class=\"lead\">(.*?)</p>", page, re.S)
    assert first[1] == "<code>wiring</code> made the difference."
    assert "7 of 7 runs diverged instead of 0 of 7" in first[2]
    # Wilson's 7/7 begins at 7 / (7 + 1.96^2) = .646; Newcombe's difference at 1 - sqrt(2) x .354. p = 2 x 2 / 2^7.
    assert "100 percentage points more (95 % interval 50 to 100; p = .031 after correction for 2" in first[2]
    assert "with <code>wiring=crossed</code> no for all 7 runs" in first[2]


def test_the_page_asks_no_network_for_anything(page):
    outside = re.findall(r"""(?:src|href|url\()\s*=?\s*["'(]?(https?:|//)""", page)
    assert outside == []
    assert "<script src" not in page
    assert page.count("<script>") == 1


def test_every_run_has_its_row_and_every_section_is_there(page):
    assert len(re.findall(r'<tr class="hides', page)) == 14
    for section in ("verdicts", "effects", "outcomes", "curves", "gradients", "settings", "best", "provenance"):
        assert f'<section id="{section}"' in page
    assert "Tuning-seed result." in page
    assert "python -m td3sweep wiring=separate" in page


def test_every_drawing_has_a_name_and_a_text_for_who_cannot_see_it(page):
    drawings = re.findall(r"<svg[^>]*>.{0,40}", page)
    assert len(drawings) > 8
    assert all('role="img" aria-label="' in one and "<desc>" in one for one in drawings)


def test_names_from_outside_are_escaped(tmp_path):
    write_run(tmp_path / "<script>alert(1)</script>" / "x")
    write_run(tmp_path / "b", wiring="<b>crossed</b>")
    text = render(find([str(tmp_path)]))
    assert "<script>alert" not in text
    assert "<b>crossed" not in text


@pytest.mark.parametrize("count", [0, 1])
def test_a_page_of_hardly_anything_says_so(tmp_path, count):
    (tmp_path / "nothing").mkdir()
    for number in range(count):
        write_run(tmp_path / str(number))
    text = render(find([str(tmp_path)]))
    assert "There is nothing to compare" in text


@pytest.mark.parametrize(("seeds", "interval"), [(1, False), (4, False), (5, True)])
def test_the_best_has_an_interval_from_five_runs_on(seeds, interval):
    text = render(conclude([run({"wiring.name": "separate"}, seed, ret=seed) for seed in range(seeds)], ["s"]))
    told = re.search(r"so its return, [\d.]+(.*?), is flattered", text)[1]
    assert bool(re.fullmatch(r" \(95 % interval [\d.]+ to [\d.]+\)", told)) == interval
    assert bool(told) == interval


def test_json_holds_the_statistics(tmp_path):
    found = json.loads(as_json(find([str(write_sweep(tmp_path / "s"))])))
    assert found["named"] == ["wiring"]
    assert found["states"] == {"finished": 14}
    wiring = next(one for one in found["comparisons"] if one["outcome"] == "diverged")
    assert (wiring["effect"]["value"], wiring["claimed"]) == (1.0, True)
    assert found["best"]["tuning_seed_result"] is True
    assert len(found["runs"]) == 14


def test_a_warning_where_provenance_differs():
    runs = crossed(lambda levels, seed: (False, 0.0))
    for place, one in enumerate(runs):
        one.provenance = {"commit": "abcdef0123456" if place else "0123456abcdef"}
    assert "commit differs: abcdef012345 (23 runs), 0123456abcde (1 runs)" in conclude(runs, ["s"]).warnings


def test_thinning_keeps_the_extremes_and_both_ends():
    steps = np.arange(5000.0)
    values = np.sin(steps / 90)
    values[1234], values[4321] = 50.0, -50.0
    few_steps, few = thinned(steps, values)
    assert few.size <= 122
    assert (few.max(), few.min()) == (50.0, -50.0)
    assert (few_steps[0], few_steps[-1]) == (0.0, 4999.0)


def test_a_group_is_drawn_where_at_least_half_of_its_runs_are():
    whole = (np.arange(0.0, 400.0), np.full(400, 2.0))
    short_one = (np.arange(0.0, 100.0), np.full(100, 6.0))
    centres = grid([whole, short_one])
    middle, low, high = grouped([whole, short_one], ["a", "a"], centres)
    assert middle[0] == 4.0
    assert middle[-1] == 2.0  # one of two
    thirds, _, _ = grouped([whole, short_one, short_one], ["a"] * 3, centres)
    assert np.isnan(thirds[-1])
    assert np.isnan(on_grid(short_one, centres)[-1])
    assert low[0] <= middle[0] <= high[0]


def test_scales_and_numbers():
    assert Scale(1.0, 100.0, 0.0, 200.0, "log")(10.0) == pytest.approx(100.0)
    assert Scale(0.0, 10.0, 100.0, 0.0)(2.5) == pytest.approx(75.0)
    assert Scale(0.0, 1.0, 0, 1).ticks() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [short(v) for v in (1.8e6, 25000.0, 0.05, 1e-5, -3.0, 0.0)] == ["1.8M", "25k", "0.05", "1e−5", "−3", "0"]


@pytest.mark.slow
def test_two_hundred_runs_of_five_thousand_points_stay_below_ten_megabytes():
    rng = np.random.default_rng(0)
    runs = []
    for number in range(200):
        levels = {
            "wiring.name": ("separate", "crossed")[number % 2],
            "hyperparams.gamma": float(rng.uniform(0.9, 0.99)),
        }
        one = run(levels, number, ret=float(rng.normal()), diverged=bool(number % 2), steps=5000, name=f"run {number}")
        steps = np.arange(1.0, 5001.0)
        for name in ("q/actor", "q/q1", "episode/length", "episode/return", "eval/return", "q/bias"):
            one.series[name] = (steps, rng.normal(size=5000))
        runs.append(one)
    assert len(render(conclude(runs, ["big"])).encode()) < 10_000_000
