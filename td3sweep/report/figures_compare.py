"""Comparisons drawn: effects with intervals, shares, survival, profiles, importance, slices, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from td3sweep import stats
from td3sweep.report.answer import below, number, signed
from td3sweep.report.compare import SAMPLED, Comparison, strata
from td3sweep.report.factors import FEW
from td3sweep.report.figures import GROUPINGS, STEP, Figure, by_level, css
from td3sweep.report.findings import Findings
from td3sweep.report.frame import DIVERGED, SCORE
from td3sweep.report.importance import tuned
from td3sweep.report.svg import BOTTOM, RIGHT, TOP, Chart, fitted

ROW = 46
MOST_ROWS = 14
PROFILE = 60
GOLDEN = 0.618034  # its multiples spread evenly over 0..1


def effect_figures(findings: Findings) -> list[Figure]:
    """A forest plot an outcome."""
    titles = {DIVERGED: "Effect on divergence", SCORE: "Effect on the return"}
    words = {DIVERGED: "percentage points of runs that diverge", SCORE: "difference of the return"}
    figures = []
    for outcome, title in titles.items():
        found = sorted((one for one in findings.comparisons if one.outcome == outcome), key=lambda one: one.adjusted)
        if found:
            figures.append(_forest(title, words[outcome], found[:MOST_ROWS], 100.0 if outcome == DIVERGED else 1.0))
    return figures


def _forest(title: str, x_label: str, found: Sequence[Comparison], scale: float) -> Figure:
    bounds = [
        scale * edge
        for one in found
        for edge in (one.effect.value, one.effect.low, one.effect.high)
        if edge is not None
    ]
    low, high = fitted([*bounds, 0.0])
    height = TOP + ROW * len(found) + BOTTOM
    text = "; ".join(f"{_versus(one)}: {signed(scale * one.effect.value)}, p {below(one.adjusted)}" for one in found)
    chart = Chart(title, text, (low, high), (0, 1), x_label, height=height, left=14)
    chart.axes(y_ticks=())
    zero = float(chart.across(0.0))
    chart.raw(f'<path class="zero" d="M{zero:.1f} {TOP}V{height - BOTTOM}"/>')
    for row, one in enumerate(found):
        y = TOP + ROW * row + 32
        sure = "sure" if one.claimed else "unsure"
        chart.text(chart.left, y - 16, _versus(one), f"row halo {sure}")
        star = " (assoc.)" if one.design == SAMPLED else ""
        chart.text(chart.width - RIGHT, y - 16, f"p {below(one.adjusted)}{star}", "tick", "end")
        if one.effect.low is not None and one.effect.high is not None:
            ends = chart.across(np.array([scale * one.effect.low, scale * one.effect.high]))
            chart.raw(_whisker(float(ends[0]), float(ends[1]), y, sure))
        chart.raw(
            f'<circle class="effect {sure}" cx="{float(chart.across(scale * one.effect.value)):.1f}" cy="{y}" r="5"/>'
        )
    more = "Dot: mean difference; bar: 95 % interval; p: corrected for all comparisons. Filled: beyond chance."
    if any(one.design == SAMPLED for one in found):
        more += " (assoc.): of configurations that differ in other settings, too."
    return Figure(title, more, chart.svg())


def _whisker(low: float, high: float, y: float, look: str = "") -> str:
    """An interval from pixel to pixel, with caps."""
    return f'<path class="whisker {look}" d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 4}v8M{high:.1f} {y - 4}v8"/>'


def _versus(one: Comparison) -> str:
    return f"{one.factor.removeprefix('hyperparams.')}: {one.side.level} vs {one.base.level}"


def share_figure(findings: Findings) -> Figure | None:
    """Share of runs that diverged, every level of every factor, with Wilson's intervals."""
    known = findings.frame[findings.frame[DIVERGED].notna()]
    rows: list[tuple[int, int, str, int, int]] = []
    for k, j, factor, level, places in by_level(findings):
        mine = known[known.index.isin(places)][DIVERGED]
        if len(mine):
            rows.append((k, j, f"{factor}={level}" if factor else level, int(mine.sum()), len(mine)))
    if not rows:
        return None
    height = TOP + 34 * len(rows) + BOTTOM
    text = "; ".join(f"{name}: {count} of {of}" for _, _, name, count, of in rows)
    chart = Chart("Share of runs that diverged", text, (0, 100), (0, 1), "% of runs", height=height, left=14)
    chart.axes(y_ticks=())
    for row, (k, j, name, count, of) in enumerate(rows):
        y, share = TOP + 34 * row + 25, stats.wilson(count, of)
        chart.text(chart.left, y - 9, name, "row")
        chart.text(chart.width - RIGHT, y - 9, f"{count} of {of}", "tick", "end")
        low, middle, high = (float(chart.across(100 * (side or 0.0))) for side in (share.low, share.value, share.high))
        chart.raw(
            f'<g class="own f{k}-{j}"><path class="bar" d="M{chart.left} {y}H{max(middle, chart.left + 1):.1f}"/>'
        )
        chart.raw(f"{_whisker(low, high, y)}</g>")
    return Figure("Share of runs that diverged", "Bar: share; whisker: Wilson's 95 % interval.", chart.svg())


def survival_figure(findings: Findings) -> Figure | None:
    """Kaplan-Meier curves to the first alarm of D1-D3."""
    runs = findings.runs
    usable = [place for place, run in enumerate(runs) if run.steps and run.verdict]
    if not any(runs[place].failed_at is not None for place in usable):
        return None
    last = max(runs[place].steps for place in usable)
    words = ("Share of runs without an alarm", f"{len(usable)} runs, censored where they end.")
    chart = Chart(*words, (0, last), (0, 100), STEP, "% without alarm")
    chart.axes()
    for k, j, factor, level, places in by_level(findings):
        mine = [place for place in places if place in usable]
        if not mine:
            continue
        happened = [runs[place].failed_at is not None for place in mine]
        times = [runs[place].failed_at or runs[place].steps for place in mine]
        steps, share, low, high = stats.survival(times, happened)
        xs = np.concatenate([[0.0], steps])
        whole, lower, upper = (100 * np.concatenate([[1.0], side]) for side in (share, low, high))
        chart.raw(f'<g class="by by-{k} f{k}-{j}">')
        chart.band(xs, lower, upper, "band", steps=True)
        chart.line(xs, whole, f"iqm d{j}", f"{factor}={level}: {sum(happened)} of {len(mine)} had one", steps=True)
        chart.raw("</g>")
    return Figure(
        "Time to the first alarm",
        "Share of runs without a failing alarm of D1-D3 (Kaplan-Meier); runs that ended without one are censored.",
        chart.svg(),
    )


def profile_figure(findings: Findings) -> Figure | None:
    """Share of runs whose return exceeds each value; none where returns have several scales."""
    known = findings.frame[findings.frame[SCORE].notna()]
    if any(factor.rescales for factor in findings.factors) or known[SCORE].nunique() < 2:
        return None
    low, high = fitted(known[SCORE])
    thresholds = np.linspace(low, high, PROFILE)
    chart = Chart(
        "Performance profile",
        "Share of runs above each return.",
        (low, high),
        (0, 100),
        "return τ",
        "% of runs above τ",
    )
    chart.axes()
    for k, j, factor, level, places in by_level(findings):
        mine = known[known.index.isin(places)]
        if mine.empty:
            continue
        values = mine[SCORE].to_numpy(float)
        groups = strata(mine, [one for one in findings.factors if one.name != factor])
        picked = stats.resampled(groups, 500, np.random.default_rng(0))
        drawn = (values[picked][:, :, None] > thresholds).mean(axis=1)
        lower, upper = 100 * np.percentile(drawn, [2.5, 97.5], axis=0)
        chart.raw(f'<g class="by by-{k} f{k}-{j}">')
        chart.band(thresholds, lower, upper, "band")
        chart.line(thresholds, 100 * stats.profile(values, thresholds), f"iqm d{j}", f"{factor}={level}")
        chart.raw("</g>")
    return Figure(
        "Performance profile", "Farther right is better; a curve that is higher everywhere wins.", chart.svg()
    )


def importance_figure(findings: Findings) -> Figure | None:
    """PED-ANOVA as bars."""
    if not findings.importance:
        return None
    rows = list(findings.importance.items())[:MOST_ROWS]
    text = "; ".join(f"{name} {share:.0%}" for name, share in rows)
    height = TOP + 34 * len(rows) + BOTTOM
    chart = Chart("Importance for the return", text, (0, 100), (0, 1), "% of importance", height=height, left=14)
    chart.axes(y_ticks=())
    for row, (name, share) in enumerate(rows):
        y = TOP + 34 * row + 25
        chart.text(chart.left, y - 9, name, "row")
        chart.text(chart.width - RIGHT, y - 9, f"{share:.0%}", "tick", "end")
        chart.raw(f'<path class="bar plain" d="M{chart.left} {y}H{float(chart.across(100 * share)):.1f}"/>')
    caption = "PED-ANOVA: what tells the best quarter of the runs from all. A ranking without certainty or direction."
    return Figure("Importance for the return", caption, chart.svg())


def slice_figures(findings: Findings) -> list[Figure]:
    """The return against gamma, tau, learning rates and batch size, where they vary."""
    figures = []
    scores = findings.frame[SCORE].to_numpy(float)
    for name, values in tuned(findings.runs).items():
        places = [i for i, value in enumerate(values) if value is not None and math.isfinite(scores[i])]
        if not places:
            continue
        xs = [float(values[place]) for place in places]
        kind = "log" if min(xs) > 0 and max(xs) / min(xs) > 5 else "linear"
        low, high = fitted(xs, kind)
        room = 0.15 * (high - low)
        bounds = (low / 1.4, high * 1.4) if kind == "log" else (low - room, high + room)
        words = (f"Return by {name}", f"{len(places)} runs")
        chart = Chart(*words, bounds, fitted(scores[places]), name, "return", x_kind=kind, height=210)
        few = sorted(set(xs))
        chart.axes(x_ticks=few if len(few) <= FEW else None)
        if len(few) <= FEW:
            for x in few:
                middle = float(
                    stats.iqm([scores[place] for place, other in zip(places, xs, strict=True) if other == x])
                )
                chart.raw(
                    f'<path class="level" d="M{float(chart.across(x)) - 22:.1f} {float(chart.up(middle)):.1f}h44"/>'
                )
        for place, x in zip(places, xs, strict=True):
            run, failed = findings.runs[place], findings.runs[place].failed_at is not None
            chart.mark(
                x,
                scores[place],
                f"{'alarm' if failed else 'dot'} {css(place, findings.factors)}",
                f"{run.name}: {number(scores[place])}, {run.verdict}",
                shape="cross" if failed else "dot",
                nudge=14 * _spread(place) if len(few) <= FEW else 0.0,
            )
        figures.append(Figure(f"Slice: {name}", "", chart.svg()))
    return figures


def parallel_figure(findings: Findings) -> Figure | None:
    """One line a run through its settings, whether it diverged, and its return."""
    factors = findings.factors[:GROUPINGS]
    known = findings.frame[findings.frame[SCORE].notna()]
    if not factors or known.empty:
        return None
    width, height = 1000, 290
    titles = [factor.short for factor in factors] + ["diverged", "return"]
    xs = np.linspace(70, width - 70, len(titles))
    chart = Chart("Settings and outcome of every run", f"{len(known)} runs over {', '.join(titles)}", (0, 1), (0, 1),
                  width=width, height=height)  # fmt: skip
    low, high = fitted(known[SCORE])
    top, bottom = 40, height - 34
    for x, title in zip(xs, titles, strict=True):
        chart.raw(f'<path class="axis" d="M{x:.1f} {top}V{bottom}"/>')
        chart.text(x, 18, title, "row", "middle")
    for place in known.index:
        heights = [
            _share(len(f.levels), f.levels.index(level)) if (level := f.of[place]) else math.nan for f in factors
        ]
        heights += [_share(2, known[DIVERGED][place]), (known[SCORE][place] - low) / (high - low)]
        jitter = 5 * _spread(place)
        points = [
            f"{x:.1f} {bottom - share * (bottom - top) + (jitter if place_of < len(factors) + 1 else 0):.1f}"
            for place_of, (x, share) in enumerate(zip(xs, heights, strict=True))
            if math.isfinite(share)
        ]
        run = findings.runs[place]
        title = f"<title>{escape(run.name)}: {escape(run.verdict)}</title>"
        chart.raw(f'<path class="run thick {css(place, findings.factors)}" d="M{"L".join(points)}">{title}</path>')
    for x, levels in zip(xs, [*(factor.levels for factor in factors), ("no", "yes")], strict=False):
        for j, level in enumerate(levels):
            y = bottom - _share(len(levels), j) * (bottom - top)
            chart.text(x, y + 22, level, "tick halo", "middle")
    for value, y in ((high, top), (low, bottom)):
        chart.text(xs[-1] + 6, y + 4, number(value).replace("-", "−"), "tick halo")
    return Figure(
        "Settings and outcome", "One line a run, from setting to setting to its outcome.", chart.svg(), wide=True
    )


def _share(levels: int, place: float) -> float:
    """The height of a level on its axis, 0 to 1."""
    return 0.5 if levels == 1 else 0.06 + 0.88 * place / (levels - 1)


def _spread(place: int) -> float:
    """A number in [-1, 1) for a run, spread evenly over the runs: runs of one level lie side by side."""
    return 2.0 * ((place * GOLDEN) % 1.0) - 1.0


def superiority(found: Sequence[Comparison]) -> list[Comparison]:
    """Comparisons of the return, surest first, for the table of numbers."""
    return sorted((one for one in found if one.superiority is not None), key=lambda one: one.adjusted)
