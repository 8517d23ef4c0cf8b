"""A chart in the terminal, drawn by plotext: the Qs with the step of the first alarm, and episode lengths."""

from __future__ import annotations

import math
import shutil

import plotext

from td3sweep.diagnose.curves import Curve, asinh_ticks, episode_curve, is_wide, q_curves
from td3sweep.diagnose.judge import Judgement

ROWS, LENGTH_ROWS, MAX_COLUMNS, MIN_COLUMNS = 16, 9, 100, 40
MARKERS = {"q/actor": "•", "q/q1": "x", "q/target": "+", "episode length": "•"}


def as_chart(judgement: Judgement, *, colour: bool) -> str:
    """The charts one above the other; empty where the log has neither Qs nor episode lengths."""
    columns = min(max(shutil.get_terminal_size().columns, MIN_COLUMNS), MAX_COLUMNS)
    curves, lengths = q_curves(judgement.log), episode_curve(judgement.log)
    alarm = judgement.report.first_alarm_step
    parts = [_chart(curves, columns, ROWS, alarm, colour)] if curves else []
    if lengths is not None:
        parts.append(_chart([lengths], columns, LENGTH_ROWS, alarm, colour))
    return "\n".join(parts)


def _chart(curves: list[Curve], columns: int, rows: int, alarm: int | None, colour: bool) -> str:
    """One chart under a line that says what is drawn with what."""
    wide = is_wide(curves)
    values = [value for curve in curves for value in curve.values]
    steps = [step for curve in curves for step in curve.steps]
    figure = plotext.figure
    figure.clear()
    figure.theme("simple")
    figure.plot_size(columns, rows)
    for curve in curves:
        few = curve.thinned(columns)
        heights = [math.asinh(value) for value in few.values] if wide else list(few.values)
        figure.draw(figure.signal(list(few.steps), heights, marker=MARKERS[curve.name]))
    ticks = asinh_ticks(min(values), max(values)) if wide else _even(min(values), max(values), 3)
    figure.ruler("y").ticks([math.asinh(tick) if wide else tick for tick in ticks], [f"{tick:.4g}" for tick in ticks])
    across = _even(min(steps), max(steps), 5)
    figure.ruler("x").ticks(across, [f"{tick:,.0f}" for tick in across])
    if alarm is not None and min(steps) <= alarm <= max(steps):
        figure.line(alarm, "vertical", relative=False)
    drawn = figure.build()
    names = "  ".join(f"{MARKERS[curve.name]} {curve.name}" for curve in curves)
    names += "  (asinh scale)" if wide else ""
    names += "" if alarm is None else f"  │ first alarm, step {alarm}"
    return f"{names}\n{drawn if colour else plotext.uncolorize(drawn)}"


def _even(low: float, high: float, count: int) -> list[float]:
    """``count`` values from ``low`` to ``high``."""
    return [low + (high - low) * place / (count - 1) for place in range(count)] if high > low else [low]
