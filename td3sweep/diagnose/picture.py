"""The same curves as a picture file, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from td3sweep.diagnose.curves import episode_curve, is_wide, q_curves
from td3sweep.diagnose.judge import Judgement
from td3sweep.errors import UserError

COLOURS = {"q/actor": "#d1495b", "q/q1": "#00798c", "q/target": "#edae49", "episode length": "#30638e"}


def write_picture(judgement: Judgement, path: Path) -> None:
    """Draw Qs and episode lengths over environment steps, with the step of the first alarm; the suffix sets the format.

    Raises:
        UserError: matplotlib is not installed, does not know the format, or may not write there.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed, and -o needs it; pip install matplotlib") from error
    curves, lengths = q_curves(judgement.log), episode_curve(judgement.log)
    panels = [group for group in (curves, [lengths] if lengths else []) if group]
    figure = Figure(figsize=(9, 3.2 * max(len(panels), 1)), layout="constrained")
    report = judgement.report
    figure.suptitle(f"{judgement.log.path.name}: {report.verdict}; will more steps help? {report.more_steps_help}")
    for place, group in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, place + 1)
        for curve in group:
            axes.plot(curve.steps, curve.values, ".-", markersize=3, label=curve.name, color=COLOURS[curve.name])
        _dress(axes, is_wide(group), report.first_alarm_step, "Q" if group is curves else "environment steps")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"-o {path}: {reason}; give a .png, .svg or .pdf in a folder you can write to") from error


def _dress(axes: Any, wide: bool, alarm: int | None, label: str) -> None:
    """Scale, labels, and the line of the first alarm."""
    if wide:
        axes.set_yscale("asinh")
    if alarm is not None:
        axes.axvline(alarm, color="black", linestyle="--", linewidth=1, label=f"first alarm, step {alarm}")
    axes.set_xlabel("environment step")
    axes.set_ylabel(label)
    axes.grid(alpha=0.3)
    axes.legend()
