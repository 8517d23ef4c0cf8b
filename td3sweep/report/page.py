"""The page: one file that holds everything, opens from disk and asks no network for anything."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from td3sweep import __version__
from td3sweep.errors import UserError
from td3sweep.monitor.report import FAILURES, HEALTHY, LEARNS, NOT_LEARNING, SUSPICIOUS
from td3sweep.report import answer
from td3sweep.report.figures import GROUPINGS, Figure, css, curve_figures, gradient_figures
from td3sweep.report.figures_compare import (
    effect_figures,
    importance_figure,
    parallel_figure,
    profile_figure,
    share_figure,
    slice_figures,
    superiority,
    survival_figure,
)
from td3sweep.report.findings import Findings
from td3sweep.report.importance import FEWEST
from td3sweep.report.runs import Run

FILMS = 6
FILM_WIDTH = 800
LARGEST = 10_000_000  # bytes of the page


def render(findings: Findings) -> str:
    """The whole page as HTML."""
    loader = PackageLoader("td3sweep.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    words = {"signed": answer.signed, "below": answer.below, "bounds": answer.bounds}
    environment.filters |= {"code": code, "number": _number, **words}
    source, _, _ = loader.get_source(environment, "page.js")
    style, _, _ = loader.get_source(environment, "page.css")
    return environment.get_template("page.html").render(
        f=findings,
        version=__version__,
        made=datetime.now(timezone.utc).strftime("%d %B %Y, %H:%M UTC"),
        style=Markup(style + _level_rules(findings)),
        script=Markup(source),
        groupings=findings.factors[:GROUPINGS],
        rows=_rows(findings),
        curves=curve_figures(findings),
        gradients=gradient_figures(findings),
        effects=effect_figures(findings),
        outcomes=_present([share_figure(findings), survival_figure(findings), profile_figure(findings)]),
        together=[factor for factor in findings.factors if len(factor.keys) > 1],
        ranking=_present([importance_figure(findings), *slice_figures(findings)]),
        parallel=parallel_figure(findings),
        returns=superiority(findings.comparisons),
        films=_films(findings),
        fewest=FEWEST,
        unsent=[path for run in findings.runs for path in run.offline],
    )


def write(path: Path, text: str) -> None:
    """Write the page.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"-o {path}: {error.strerror}; name a file in a folder you can write to") from error


def code(text: str) -> Markup:
    """Text with `names` set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else answer.number(value).replace("-", "−")


def _present(figures: Sequence[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]


def _level_rules(findings: Findings) -> str:
    """Style rules by which one attribute of the page recolours all of it, and one class hides a level everywhere."""
    rules = []
    for k, factor in enumerate(findings.factors[:GROUPINGS]):
        rules.append(f'[data-by="{k}"] .by-{k}{{display:inline}}')
        for j in range(len(factor.levels)):
            colour = f"--c:var(--c{j % 7})"
            rules.append(f'[data-by="{k}"] .f{k}-{j},.own.f{k}-{j}{{{colour}}}')
            rules.append(f".off-{k}-{j} .hides.f{k}-{j},.off-{k}-{j} svg .f{k}-{j}{{display:none}}")
    return "\n".join(rules)


def _rows(findings: Findings) -> list[dict[str, Any]]:
    """The verdict table."""
    rows = []
    for place, run in enumerate(findings.runs):
        alarm = run.first_alarm
        rows.append(
            {
                "run": run,
                "css": css(place, findings.factors),
                "levels": [factor.of[place] or "" for factor in findings.factors[:GROUPINGS]],
                "mood": _mood(run),
                "alarm": alarm and f"{alarm['step']:,}",
                "alarm_step": -1 if alarm is None else alarm["step"],
                "alarm_name": alarm and f"{alarm['level']} {alarm['detector'].upper()}",
                "evidence": run.evidence or (run.why,),
                "score": float(findings.frame["return"].iloc[place]),
            }
        )
    return rows


def _mood(run: Run) -> str:
    """What the verdict's badge looks like."""
    if run.verdict in FAILURES:
        return "bad"
    return {HEALTHY: "good", LEARNS: "good", SUSPICIOUS: "doubt", NOT_LEARNING: "doubt"}.get(run.verdict, "none")


def _films(findings: Findings) -> list[dict[str, str]]:
    """Film strips of the best and the median run of each level of the first factor."""
    having = [place for place, run in enumerate(findings.runs) if run.film is not None]
    score = findings.frame["return"]
    order = sorted(having, key=lambda place: -score[place] if score[place] == score[place] else float("inf"))
    chosen: list[tuple[int, str]] = []
    first = findings.factors[0] if findings.factors else None
    for level in first.levels if first else ("",):
        mine = [place for place in order if first is None or first.of[place] == level]
        named = f"{first.name}={level}" if first else "all runs"
        for what, place in (("highest return", mine[:1]), ("median return", mine[len(mine) // 2 : len(mine) // 2 + 1])):
            chosen += [(one, f"{named}, {what}") for one in place if one not in dict(chosen)]
    return [
        {"title": title, "run": findings.runs[place].name, "image": image}
        for place, title in chosen[:FILMS]
        if (image := _image(findings.runs[place].film))
    ]


def _image(path: Path | None) -> str:
    """A picture as a data address, small; empty where it cannot be read."""
    try:
        with Image.open(path or "") as picture:
            small = picture.convert("RGB")
            small.thumbnail((FILM_WIDTH, FILM_WIDTH))
    except OSError:
        return ""
    held = io.BytesIO()
    small.save(held, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode()
