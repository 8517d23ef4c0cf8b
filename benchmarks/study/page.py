"""The study's page, from its packed runs alone: ``python -m benchmarks.study.page`` writes docs/study/, runs nothing.

It makes a report of each part (``python -m td3sweep.report``), the tables and pictures of docs/study/README.md, and
holds every claim of the described document against a rule (`benchmarks/study/claims.py`).
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.learning.cells import rows_of
from benchmarks.page import DOCS, replace_section
from benchmarks.study.claims import CLAIMS, CROSSED, SUMMED
from benchmarks.study.parts import ABLATION, FIXES, PACKED, WIRINGS
from benchmarks.study.runs import (
    ASKED,
    Result,
    baseline,
    factor_over,
    main_effects,
    mean,
    of_cell,
    ratio,
    results,
    spread,
)
from td3sweep.report.answer import below, number
from td3sweep.report.runs import DIVERGED
from td3sweep.stats import holm

HERE = DOCS / "study"
PAGE = HERE / "README.md"
SWEPT = DOCS / "data/pruning_curves.jsonl"
CHANGES = {  # of space=ablation, each from the described system's level to the document's
    "hyperparams": ("as_ran", "paper"), "clip": ("joint", "off"), "cnn": ("nature", "pooled"),
    "recurrent": ("none", "gru48"),
}  # fmt: skip
HALF = 8  # runs of each wiring in the balanced half of the table
NOT_RUN = "Not run yet."
COLOURS = {"crossed": "#d55e00", "separate": "#0072b2"}


def reports(parts: dict[str, Sequence[str]]) -> None:
    """The comparison page of each report: name -> the parts that it compares."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, of in parts.items():
            for part in of:
                with tarfile.open(PACKED / f"{part}.tar.xz") as tar:
                    tar.extractall(Path(scratch, name), filter="data")
            words = ["td3sweep.report", name, "-o", str(HERE / f"{name}.html")]
            subprocess.run([sys.executable, "-m", *words], cwd=scratch, check=True)


def reproduced(runs: Sequence[Result]) -> str:
    """Both wirings with the settings that ran, a line each."""
    if not all(of_cell(runs, f"{ASKED}, {wiring}") for wiring in WIRINGS):
        return NOT_RUN
    lines = [
        "| wiring | runs | actor's Q | critic's own Q | actor's over critic's | critic's loss | diverged (D1-D3) "
        "| saturated actions, % | last episodes, warm-up's | verdict | would more steps help? |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for wiring in WIRINGS:
        mine = of_cell(runs, f"{ASKED}, {wiring}")
        words = [
            wiring, str(len(mine)),
            spread([run.end("q/actor") for run in mine]), spread([run.end("q/q1") for run in mine]),
            ratio([run.overshoot for run in mine]), spread([run.end("loss/critic") for run in mine]),
            _alarmed(mine, DIVERGED), mean([100 * run.end("action/saturation") for run in mine]),
            f"{mean([run.length for run in mine])}, {mean([run.warmup_length for run in mine])}",
            _counted([run.summary["verdict"] for run in mine]),
            _counted([run.summary["more_steps_help"] for run in mine]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def fixed(runs: Sequence[Result]) -> str:
    """Each fix alone under both wirings."""
    lines = [
        "| alone | wiring | runs | actor's Q over critic's | gap, times that without it | diverged "
        "| saturated actions, % | route driven, % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for fix in (ASKED, *FIXES):
        for wiring in WIRINGS:
            mine = of_cell(runs, f"{fix}, {wiring}")
            if not mine:
                continue
            words = [
                fix if wiring == WIRINGS[0] else "", wiring, str(len(mine)), ratio([run.overshoot for run in mine]),
                "1" if fix == ASKED else factor_over(mine, of_cell(runs, f"{baseline(fix)}, {wiring}")),
                _alarmed(mine, DIVERGED), mean([100 * run.end("action/saturation") for run in mine]),
                f"{100 * float(np.median([run.summary['evaluation']['eval/route_fraction'] for run in mine])):.1f}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def norms(runs: Sequence[Result]) -> str:
    """The norm after a joint clip at 1 and 10, measured as it is and as a sum over tensors."""
    if not of_cell(runs, SUMMED) or not of_cell(runs, CROSSED):
        return NOT_RUN
    lines = ["| logged as | actor's CNN | actor, joint | critic's CNN | critic, joint |", "|---|---|---|---|---|"]
    seeds = {run.seed for run in of_cell(runs, SUMMED)}
    keys = [f"grad/{net}/{part}/after" for net in ("actor", "critic") for part in ("cnn", "joint")]
    for cell, words in ((CROSSED, "L2 norm of the set"), (SUMMED, "sum of the tensors' norms")):
        mine = [run for run in of_cell(runs, cell) if run.seed in seeds]
        cells = [
            f"{mean([run.mean(key) for run in mine])}, at most {max(run.most(key) for run in mine):.4g}" for key in keys
        ]
        lines.append(f"| {words} ({len(mine)} runs) | {' | '.join(cells)} |")
    return "\n".join(lines)


def claims(runs: Sequence[Result]) -> str:
    """Every claim with what these runs say of it."""
    lines = ["| the document says | here | by these figures | runs |", "|---|---|---|---|"]
    for claim in CLAIMS:
        verdict, figures = claim.judge(runs)
        lines.append(f"| {claim.says} | **{verdict}** | {figures} | `{claim.command}` |")
    return "\n".join(lines)


def ablated(runs: Sequence[Result]) -> str:
    """All changes at once: every run, the largest first; and their main effects where nothing ran away."""
    table = sorted((run for run in runs if run.part == ABLATION), key=lambda run: -run.overshoot)
    sides = {wiring: [run for run in table if f"wiring={wiring}" in run.cell.split(", ")] for wiring in WIRINGS}
    if {len(side) for side in sides.values()} != {HALF}:
        return NOT_RUN
    lines = [
        f"| wiring | {' | '.join(CHANGES)} | actor's Q over critic's | D1-D3 fail at step |",
        f"|---|{'---|' * len(CHANGES)}---|---|",
    ]
    for run in table:
        levels = [word.partition("=")[2] for word in run.cell.split(", ")]
        lines.append(f"| {' | '.join([*levels, number(run.overshoot), str(run.failed(DIVERGED) or 'never')])} |")
    lines += ["", "| change, correctly wired | times the actor's Q over the critic's |", "|---|---|"]
    for key, (value, low, high) in main_effects(sides["separate"], CHANGES).items():
        lines.append(f"| {key}: {' to '.join(CHANGES[key])} | {number(value)} [{number(low)}, {number(high)}] |")
    return "\n".join(lines)


def swept(rows: Sequence[Mapping[str, Any]]) -> str:
    """The sweep of docs/pruning.md: which of its numbers goes with the return, rank by rank.

    Args:
        rows: its runs, each with ``configuration``, ``point`` and ``evaluations`` of (step, return).
    """
    scores: dict[int, list[float]] = {}
    for row in rows:
        scores.setdefault(row["configuration"], []).append(np.mean([value for _, value in row["evaluations"][-3:]]))
    points = {row["configuration"]: row["point"] for row in rows}
    means = np.array([np.mean(scores[number]) for number in points])
    best = np.argsort(means)[-(len(means) // 4) :]
    keys = list(next(iter(points.values())))
    columns = {key: np.array([point[key] for point in points.values()], float) for key in keys}
    found = {key: stats.spearmanr(column, means) for key, column in columns.items()}
    sure = holm([one.pvalue for one in found.values()])
    lines = [
        "| | Spearman's rho with the return | p (Holm) | in the best quarter, median and range |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {key.rpartition('.')[2]} | {found[key].statistic:+.2f} | {below(p).removeprefix('= ')} "
        f"| {spread(columns[key][best])} |"
        for key, p in zip(keys, sure, strict=True)
    ]
    return "\n".join(lines)


def _alarmed(runs: Sequence[Result], detectors: Sequence[str]) -> str:
    return f"{sum(run.failed(detectors) is not None for run in runs)} of {len(runs)}"


def _counted(words: Sequence[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in Counter(words).most_common())


def draw_reproduced(runs: Sequence[Result], path: Path) -> None:
    """Both Qs over the steps, a panel for each wiring, all seeds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, wiring in zip(panels, WIRINGS, strict=True):
        for run in of_cell(runs, f"{ASKED}, {wiring}"):
            for key, style in (("q/actor", "-"), ("q/q1", ":")):
                steps, values = run.curve(key)
                panel.plot(steps, values, style, color=COLOURS[wiring], linewidth=1.1, alpha=0.8)
        panel.set_yscale("symlog", linthresh=10)
        panel.set_title(f"wiring={wiring}", fontsize=10)
        panel.grid(alpha=0.2)
    figure.supxlabel("environment steps", fontsize=9)
    figure.supylabel("Q (solid: of the actor's actions, dotted: critic's own)", fontsize=8)
    figure.savefig(path, dpi=110)


def draw_fixed(runs: Sequence[Result], path: Path) -> None:
    """The actor's Q over the critic's at the end, a dot a run."""
    from matplotlib.figure import Figure

    fixes = [fix for fix in (ASKED, *FIXES) if of_cell(runs, f"{fix}, crossed")]
    figure = Figure(figsize=(8, 0.6 + 0.32 * len(fixes)), layout="constrained")
    panel = figure.subplots()
    for row, fix in enumerate(fixes):
        for wiring, shift in zip(WIRINGS, (-0.12, 0.12), strict=True):
            values = [run.overshoot for run in of_cell(runs, f"{fix}, {wiring}")]
            panel.plot(values, np.full(len(values), row + shift), "o", color=COLOURS[wiring], markersize=5, alpha=0.75)
    panel.axvline(1, color="0.6", linewidth=0.8)
    panel.set_xscale("log")
    panel.set_yticks(range(len(fixes)), fixes, fontsize=9)
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.2)
    panel.set_xlabel("actor's Q / critic's own Q after 1,000 updates (orange: crossed, blue: separate)", fontsize=9)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Write all of docs/study/."""
    runs = results()
    reports({"reproduce": ["reproduce"], "fixes": ["reproduce", "fixes"], ABLATION: [ABLATION]})
    for name, text in (
        ("claims", claims(runs)), ("reproduce", reproduced(runs)), ("fixes", fixed(runs)), ("ablation", ablated(runs)),
        ("swept", swept(rows_of(SWEPT))), ("norms", norms(runs)),
    ):  # fmt: skip
        replace_section(name, text, PAGE)
    draw_reproduced(runs, HERE / "reproduce.png")
    draw_fixed(runs, HERE / "fixes.png")


if __name__ == "__main__":
    main()
