"""The same report on W&B: words as Markdown, curves and settings as native panels that stay live as runs arrive."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from td3sweep.errors import UserError
from td3sweep.files import write_atomically
from td3sweep.report.answer import below, bounds, signed
from td3sweep.report.factors import Factor
from td3sweep.report.figures import CURVES, MODULES
from td3sweep.report.findings import Findings
from td3sweep.report.frame import SCORE
from td3sweep.report.importance import tuned
from td3sweep.report.runs import EVAL

TITLE = 128  # characters that W&B allows
TIMEOUT_S = 15
SCORE_ON_WANDB = "final_return"  # in a run's summary


def publish(findings: Findings, project: tuple[str, str], page: Path) -> str:
    """Save the report in ``(entity, project)``; without key or network write it beside the page. Says what it did.

    Raises:
        UserError: wandb-workspaces is not installed.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    report = build(findings, *project)
    reason = _unreachable()
    if reason is None:
        try:
            return f"W&B report: {report.save().url}"
        except Exception as error:  # wandb raises its own, requests' and plain ValueErrors alike
            reason = " ".join(str(error).split()) or type(error).__name__
    kept = page.with_suffix(".wandb.json")
    write_atomically(kept, json.dumps(json.loads(_serialised(report)), indent=1) + "\n")
    return f"W&B report not sent ({reason}): kept in {kept}; `wandb login` and the same command send it"


def build(findings: Findings, entity: str, project: str) -> Any:
    """The report, not saved yet; needs neither key nor network."""
    try:
        import wandb_workspaces.reports.v2 as wr
    except ImportError as error:
        raise UserError(
            "wandb-workspaces is not installed, and --wandb needs it; pip install 'td3sweep[report]'"
        ) from error
    return wr.Report(
        project=project,
        entity=entity,
        title=f"{findings.answer.headline.replace('`', '')} ({len(findings.runs)} runs)"[:TITLE],
        description="td3sweep comparison report",
        width="fluid",
        blocks=[
            wr.MarkdownBlock(f"**{findings.answer.headline}** {' '.join(findings.answer.sentences)}"),
            wr.MarkdownBlock(_care(findings)),
            wr.H2("Every run"),
            wr.MarkdownBlock(_runs(findings)),
            wr.PanelGrid(runsets=[wr.Runset()], panels=[wr.RunComparer(diff_only=True)]),
            wr.H2("What each factor did"),
            wr.MarkdownBlock(_comparisons(findings)),
            wr.H2("Curves"),
            wr.PanelGrid(runsets=[wr.Runset()], panels=_curves(wr, findings)),
            wr.H2("Gradient norms"),
            wr.PanelGrid(runsets=[wr.Runset()], panels=_gradients(wr, findings)),
            wr.H2("Settings"),
            wr.PanelGrid(runsets=[wr.Runset()], panels=_settings(wr, findings)),
            *_best(wr, findings),
            wr.H2("Provenance"),
            wr.MarkdownBlock(_provenance(findings)),
        ],
    )


def _serialised(report: Any) -> str:
    return str(report._to_model().model_dump_json(by_alias=True, exclude_none=True))


def _unreachable() -> str | None:
    """Why W&B cannot be written to, in a few words; None where it can."""
    import wandb

    try:
        if not wandb.login(prompt=False):
            return "not logged in"
        wandb.Api(timeout=TIMEOUT_S).viewer  # noqa: B018  (asking is the point)
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def _group(wr: Any, findings: Findings) -> Any:
    """What lines are coloured and averaged by: the first factor."""
    return wr.Config(_config(findings.factors[0])) if findings.factors else None


def _config(factor: Factor) -> str:
    """The setting behind a factor, as W&B names it."""
    return next((key for key in factor.keys if key.endswith(".name")), factor.keys[0])


def _curves(wr: Any, findings: Findings) -> list[Any]:
    by = _group(wr, findings)
    return [
        wr.LinePlot(
            title=title, x="env_step", y=[name], groupby=by, groupby_aggfunc="median", groupby_rangefunc="minmax"
        )
        for name, (title, _) in CURVES.items()
        if any(name in run.series for run in findings.runs)
    ]


def _gradients(wr: Any, findings: Findings) -> list[Any]:
    panels = []
    for net in ("actor", "critic"):
        for part, name in MODULES.items():
            keys = [f"grad/{net}/{part}/{when}" for when in ("before", "after")]
            if any(keys[0] in run.series for run in findings.runs):
                panels.append(
                    wr.LinePlot(title=f"{net.capitalize()}'s {name}", x="env_step", y=keys, log_y=True,
                                groupby=_group(wr, findings), groupby_aggfunc="median")
                )  # fmt: skip
    return panels


def _settings(wr: Any, findings: Findings) -> list[Any]:
    score = wr.SummaryMetric(SCORE_ON_WANDB)
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(_config(factor))) for factor in findings.factors]
    slices = [
        wr.ScatterPlot(title=f"Slice: {name}", x=wr.Config(f"hyperparams.{name}"), y=score)
        for name in tuned(findings.runs)
    ]
    bars = wr.BarPlot(title="Last evaluation return", metrics=[EVAL], groupby=_group(wr, findings))
    return [
        wr.ParallelCoordinatesPlot(columns=[*columns, wr.ParallelCoordinatesPlotColumn(score)]),
        wr.ParameterImportancePlot(with_respect_to=SCORE_ON_WANDB),
        bars,
        *slices,
    ]


def _best(wr: Any, findings: Findings) -> list[Any]:
    best = findings.best
    if best is None or best.command is None or best.fresh is None:
        return []
    words = (
        f"**Tuning-seed result.** Chosen and judged on seeds {', '.join(map(str, best.seeds))}: no claim until fresh "
        "seeds confirm it. The first command repeats it, the second confirms it."
    )
    code = wr.CodeBlock(f"{best.command}\n{best.fresh}", language="python")
    return [wr.H2("Best configuration"), wr.MarkdownBlock(words), code]


def _care(findings: Findings) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in findings.states.items())
    return "\n".join([f"{len(findings.runs)} runs found: {counts}.", *(f"- {line}" for line in findings.warnings)])


def _runs(findings: Findings) -> str:
    rows = ["| run | ended | verdict | first alarm | return |", "|---|---|---|---|---|"]
    for run, score in zip(findings.runs, findings.frame[SCORE], strict=True):
        alarm = run.first_alarm
        first = "" if alarm is None else f"{alarm['level']} {alarm['detector']} at {alarm['step']}"
        shown = "" if math.isnan(score) else f"{score:.4g}"
        rows.append(f"| {_cell(run.name)} | {run.state} | {run.verdict} | {first} | {shown} |")
    return "\n".join(rows)


def _comparisons(findings: Findings) -> str:
    rows = ["| factor | levels | outcome | difference | 95 % interval | p corrected |", "|---|---|---|---|---|---|"]
    for one in findings.comparisons:
        levels = f"{_cell(one.side.level)} vs {_cell(one.base.level)}"
        rows.append(
            f"| {_cell(one.factor)} | {levels} | {one.outcome} | {signed(one.effect.value)} | {bounds(one.effect)} "
            f"| {below(one.adjusted)} |"
        )
    return "\n".join(rows)


def _provenance(findings: Findings) -> str:
    rows = ["| what | value (runs) |", "|---|---|"]
    for what, values in findings.provenance:
        rows.append(f"| {what} | {', '.join(f'{_cell(value)} ({count})' for value, count in values)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
