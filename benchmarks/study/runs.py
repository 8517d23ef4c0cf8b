"""The study's finished runs, read from their archives, and the few statistics that its page needs of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.learning.cells import folder_of
from benchmarks.study.parts import ABLATION, PACKED, PARTS, unpacked
from td3sweep.report.answer import number
from td3sweep.stats import Floats

ASKED = "as it ran"
LAST = 4  # rows of 25 updates each that "at the end" is the mean of


@dataclass(frozen=True)
class Result:
    """One run of a cell.

    Attributes:
        rows: of metrics.jsonl that hold updates, in order.
        episodes: of episodes.jsonl.
        summary: its summary.json.
    """

    part: str
    cell: str
    seed: int
    rows: Sequence[dict[str, Any]]
    episodes: Sequence[dict[str, Any]]
    summary: dict[str, Any]

    def curve(self, key: str) -> tuple[Floats, Floats]:
        """Steps and values of one metric, both (n,)."""
        found = np.array([(row["env_step"], row[key]) for row in self.rows if key in row], float).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def end(self, key: str) -> float:
        """Mean of the last rows."""
        return float(self.curve(key)[1][-LAST:].mean())

    def at(self, key: str, step: int) -> float:
        """The value of the first row at or behind a step."""
        steps, values = self.curve(key)
        return float(values[np.searchsorted(steps, step)])

    def mean(self, key: str) -> float:
        """Mean of all rows."""
        return float(self.curve(key)[1].mean())

    def most(self, key: str) -> float:
        """Largest of all rows."""
        return float(self.curve(key)[1].max())

    @property
    def rise(self) -> tuple[list[float], list[float]]:
        """Steps, and by how much the actor's Q exceeds the critic's own there."""
        steps, actor = self.curve("q/actor")
        return list(steps), list(actor - self.curve("q/q1")[1])

    @property
    def overshoot(self) -> float:
        """The actor's Q over the critic's own at the end, by magnitude."""
        return abs(self.end("q/actor") / self.end("q/q1"))

    @cached_property
    def length(self) -> float:
        """Mean length of the last ten training episodes of the learning phase."""
        return float(np.mean([one["length"] for one in self.episodes if one["phase"] == "learning"][-10:]))

    @cached_property
    def warmup_length(self) -> float:
        """Mean length of the episodes of random actions."""
        return float(np.mean([one["length"] for one in self.episodes if one["phase"] == "warm-up"]))

    def failed(self, detectors: Sequence[str]) -> int | None:
        """Step of the first failing alarm of these detectors; None: there was none."""
        steps = [
            alarm["step"] for alarm in self.summary["alarms"]
            if alarm["level"] == "FAIL" and alarm["detector"] in detectors
        ]  # fmt: skip
        return min(steps, default=None)


def results() -> list[Result]:
    """All packed runs, by part, cell and seed."""
    found = []
    for part in (*PARTS, ABLATION):
        path = PACKED / f"{part}.tar.xz"
        if not path.exists():
            continue
        texts = {name: content.decode() for name, content in unpacked(path).items()}
        names = _names(part, texts)
        for name, text in texts.items():
            if name.name == "summary.json" and name.parent.parent.name in names:
                rows, episodes = (_lines(texts[name.parent / f"{kind}.jsonl"]) for kind in ("metrics", "episodes"))
                seed = int(name.parent.name.removeprefix("seed-"))
                learnt = [row for row in rows if "q/q1" in row]
                found.append(Result(part, names[name.parent.parent.name], seed, learnt, episodes, json.loads(text)))
    return sorted(found, key=lambda run: (run.part, run.cell, run.seed))


def _names(part: str, texts: Mapping[PurePosixPath, str]) -> dict[str, str]:
    """Folder -> cell; a trial of the sweep is named by its overrides."""
    if part != ABLATION:
        return {folder_of(cell.name): cell.name for cell in PARTS[part]}
    sweep = json.loads(texts[PurePosixPath(part, "sweep.json")])
    return {str(trial["first"]): ", ".join(trial["overrides"]) for trial in sweep["trials"]}


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def of_cell(runs: Sequence[Result], cell: str) -> list[Result]:
    """The runs of one cell, by seed."""
    return [run for run in runs if run.cell == cell]


def mean(values: Sequence[float]) -> str:
    """Their mean, three figures."""
    return number(float(np.mean(values)))


def spread(values: Sequence[float] | Floats) -> str:
    """Median and range."""
    return f"{number(float(np.median(values)))} ({number(min(values))} to {number(max(values))})"


def geometric(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Geometric mean of positive values with Student's 95 % interval of the mean logarithm; of one value, no bounds."""
    logs = np.log(np.asarray(values, float))
    centre = float(logs.mean())
    if logs.size < 2:
        return float(np.exp(centre)), 0.0, float("inf")
    reach = float(stats.t.ppf(0.975, logs.size - 1) * stats.sem(logs))
    return float(np.exp(centre)), float(np.exp(centre - reach)), float(np.exp(centre + reach))


def ratio(values: Sequence[float] | Floats) -> str:
    """Geometric mean, and its interval where there are two values or more."""
    centre, low, high = geometric(values)
    return f"{number(centre)} [{number(low)}, {number(high)}]" if len(values) > 1 else number(centre)


def factors(runs: Sequence[Result], base: Sequence[Result], value: Callable[[Result], float]) -> Floats:
    """For each seed that both have, a value over that of the base (n,)."""
    of_base = {run.seed: value(run) for run in base}
    return np.array([value(run) / of_base[run.seed] for run in runs if run.seed in of_base])


def factor_over(runs: Sequence[Result], base: Sequence[Result]) -> str:
    """Geometric mean, with interval, of how many times a base's gap at the end the runs' is, seed by seed."""
    found = factors(runs, base, lambda run: run.end("q/gap"))
    return ratio(found) if found.size else "-"


def baseline(fix: str) -> str:
    """What a fix is compared with: the run as it was, at the fix's own batch where that had to change with it."""
    return "nature, batch 16" if fix == "pooled, batch 16" else ASKED


def main_effects(
    runs: Sequence[Result], levels_of: Mapping[str, tuple[str, str]]
) -> dict[str, tuple[float, float, float]]:
    """Of each two-level factor of a balanced table, how many times as large the overshoot is at its second level.

    Least squares of the logarithm on all factors at once; Student's 95 % interval from what they leave unexplained.

    Args:
        runs: named by their overrides, see :func:`results`.
        levels_of: key -> its two levels.
    """
    signs = np.array([[_sign(run, key, levels) for key, levels in levels_of.items()] for run in runs], float)
    design = np.column_stack([np.ones(len(runs)), signs / 2])
    logs = np.log([run.overshoot for run in runs])
    effects, *_ = np.linalg.lstsq(design, logs, rcond=None)
    free = len(runs) - design.shape[1]
    variance = float(((logs - design @ effects) ** 2).sum()) / free
    reach = stats.t.ppf(0.975, free) * np.sqrt(variance * np.diag(np.linalg.inv(design.T @ design)))
    spans = zip(effects[1:], reach[1:], strict=True)
    return {
        key: (float(np.exp(effect)), float(np.exp(effect - wide)), float(np.exp(effect + wide)))
        for key, (effect, wide) in zip(levels_of, spans, strict=True)
    }


def _sign(run: Result, key: str, levels: tuple[str, str]) -> int:
    return 1 if f"{key}={levels[1]}" in run.cell.split(", ") else -1
