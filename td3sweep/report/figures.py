"""Curves over environment steps: Q, episode length, return, bias, gradients, by group with intervals and alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from td3sweep.diagnose.curves import WIDE
from td3sweep.report.compare import strata
from td3sweep.report.curves import grid, grouped, thinned
from td3sweep.report.factors import Factor
from td3sweep.report.findings import Findings
from td3sweep.report.runs import BIAS, EVAL, LENGTH, RETURN, Run, Series
from td3sweep.report.svg import Chart, fitted

GROUPINGS = 6  # factors by which curves can be told apart
STEP = "environment step"
CURVES = {
    "q/actor": ("Q of the actor's own actions", "what the actor's loss reads: it runs away when a run diverges"),
    "q/q1": ("Q of replayed actions", "the critic on what it was trained on: it should agree with the actor's Q"),
    LENGTH: ("Episode length", "agent steps of training episodes: those that shorten end early"),
    EVAL: ("Evaluation return", "fixed seeds, no exploration noise"),
    RETURN: ("Training return", "with exploration noise"),
    BIAS: ("Q bias", "Q at an episode's start less what followed: above 0 is overestimation"),
}
MODULES = {"cnn": "CNN", "memory": "memory", "head": "head"}


@dataclass(frozen=True)
class Figure:
    """A drawing with a title and what to look for in it."""

    title: str
    caption: str
    drawing: Markup
    wide: bool = False


def css(place: int, factors: Sequence[Factor]) -> str:
    """The classes of a run: its level of every factor that can colour or filter it."""
    words = [
        f"f{k}-{factor.levels.index(level)}"
        for k, factor in enumerate(factors[:GROUPINGS])
        if (level := factor.of[place])
    ]
    return " ".join(words)


def by_level(findings: Findings) -> Iterator[tuple[int, int, str, str, list[int]]]:
    """``(factor's place, level's place, factor, level, places of its runs)``; one group of all runs without factors."""
    if not findings.factors:
        yield 0, 0, "", "all runs", list(range(len(findings.runs)))
    for k, factor in enumerate(findings.factors[:GROUPINGS]):
        for j, level in enumerate(factor.levels):
            yield k, j, factor.name, level, [place for place, of in enumerate(factor.of) if of == level]


def curve_figures(findings: Findings) -> list[Figure]:
    """Every curve that at least one run has."""
    return [
        _curve(findings, name, title, caption)
        for name, (title, caption) in CURVES.items()
        if any(name in run.series for run in findings.runs)
    ]


def _curve(findings: Findings, name: str, title: str, caption: str) -> Figure:
    """Each run as a thin line with a cross at its first failing alarm; each group as IQM and interval."""
    runs, factors = findings.runs, findings.factors
    having = [place for place, run in enumerate(runs) if name in run.series]
    small = {place: thinned(*runs[place].series[name]) for place in having}
    values = np.concatenate([values for _, values in small.values()])
    kind = "asinh" if np.abs(values).max() > WIDE * max(float(np.median(np.abs(values))), 1.0) else "linear"
    last = max(runs[place].steps for place in having)
    label = f"{title} by {STEP}, {len(having)} runs"
    chart = Chart(label, f"{caption}. {_ends(runs, having, name)}", (0, last), fitted(values, kind), STEP, y_kind=kind)
    chart.axes()
    for place in having:
        run, classes = runs[place], css(place, factors)
        chart.line(*small[place], f"run {classes}", f"{run.name}: {run.verdict}")
        if run.failed_at is not None:
            steps, heights = runs[place].series[name]
            height = float(np.interp(run.failed_at, steps, heights))
            words = f"{run.name}: first alarm of D1-D3 at step {run.failed_at}"
            chart.mark(run.failed_at, height, f"alarm {classes}", words, shape="cross")
    _groups(chart, findings, {place: runs[place].series[name] for place in having})
    scale = " Asinh scale: linear around 0, logarithmic far from it." if kind == "asinh" else ""
    return Figure(title, f"{caption[0].upper()}{caption[1:]}.{scale}", chart.svg())


def _groups(chart: Chart, findings: Findings, curves: dict[int, Series], look: str = "") -> None:
    """IQM and interval of every level of every factor; the style sheet shows one factor at a time.

    ``look`` replaces the dashes that tell levels apart; ``after`` has no band.
    """
    centres = grid(list(curves.values()))
    for k, j, factor, level, places in by_level(findings):
        mine = [place for place in places if place in curves]
        if not mine:
            continue
        rows = findings.frame.iloc[mine]
        middle, low, high = grouped(
            [curves[place] for place in mine],
            strata(rows, [one for one in findings.factors if one.name != factor]),
            centres,
        )
        words = f"{factor}={level}: IQM of {len(mine)} runs" if factor else f"IQM of {len(mine)} runs"
        chart.raw(f'<g class="by by-{k} f{k}-{j}">')
        if look != "after":
            chart.band(centres, low, high, "band")
        chart.line(centres, middle, f"iqm {look or f'd{j}'}", words)
        chart.raw("</g>")


def _ends(runs: Sequence[Run], places: Sequence[int], name: str) -> str:
    """The numbers behind a drawing, for a screen reader."""
    finals = [float(runs[place].series[name][1][-1]) for place in places]
    return f"Last values: median {np.median(finals):.3g}, smallest {min(finals):.3g}, largest {max(finals):.3g}."


def gradient_figures(findings: Findings) -> list[Figure]:
    """Norms per module before clipping (drawn through) and after (dashed)."""
    figures = []
    for net in ("actor", "critic"):
        for part, name in MODULES.items():
            keys = [f"grad/{net}/{part}/{when}" for when in ("before", "after")]
            curves = [
                {place: run.series[key] for place, run in enumerate(findings.runs) if key in run.series} for key in keys
            ]
            if curves[0]:
                figures.append(_gradient(findings, f"{net.capitalize()}'s {name}", curves))
    return figures


def _gradient(findings: Findings, title: str, curves: Sequence[dict[int, Series]]) -> Figure:
    values = np.concatenate([values for side in curves for _, values in side.values()])
    positive = values[values > 0]
    low = max(float(np.percentile(positive, 1)), float(positive.max()) * 1e-13) if positive.size else 1.0
    bounds = fitted([low, *positive[positive >= low]], "log")
    last = max(findings.runs[place].steps for place in curves[0])
    summary = f"Median before clipping {np.median(np.concatenate([v for _, v in curves[0].values()])):.3g}."
    chart = Chart(f"Gradient norm of the {title}", summary, (0, last), bounds, STEP, y_kind="log", height=210)
    chart.axes()
    _groups(chart, findings, curves[0], "before")
    if curves[1]:
        _groups(chart, findings, curves[1], "after")
    return Figure(title, "", chart.svg())
