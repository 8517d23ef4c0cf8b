"""Does it learn? What the returns of a run say, evaluations before training episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3sweep.monitor.detectors import Stateful
from td3sweep.monitor.episodes import mann_kendall

Floats = NDArray[np.float64]
POINTS = 200  # kept of each series: beyond that, neighbours are averaged
FEWEST_EVALUATIONS, FEWEST_EPISODES = 5, 10  # before anything is said
ENOUGH_EVALUATIONS, MANY_EVALUATIONS = 10, 20  # before they are taken rather than training episodes, and alone
FEWEST_LOST = 15  # points, before a rise can be called lost, or made without a trend
FEWEST_RANDOM = 5  # episodes of random actions to compare with
P = 0.01
MATERIAL = 0.05  # of the larger return, below which a rise is none
SUCCEEDS = 0.5  # share of evaluation episodes that reach their goal, from which on a run has learnt


@dataclass(frozen=True)
class Progress:
    """What returns say.

    Attributes:
        kind: ``rose``; ``lost``: it had risen, and lost it; ``falls``: the last of them did, the newest fifth did not;
            ``fell``: below where it began; ``flat``; ``unknown``: too few.
        text: the reason, for a reader.
    """

    kind: str
    text: str


class Track(Stateful):
    """A series of returns in at most 200 points: means of as many neighbours as it takes."""

    STATE = ("points", "width", "open", "count")

    def __init__(self) -> None:
        self.points: list[float] = []
        self.width = 1  # returns in one point
        self.open: list[float] = []
        self.count = 0

    def add(self, ret: float) -> None:
        """Note one return."""
        self.count += 1
        self.open.append(float(ret))
        if len(self.open) < self.width:
            return
        self.points.append(sum(self.open) / len(self.open))
        self.open = []
        if len(self.points) > POINTS:
            self.points = [(a + b) / 2.0 for a, b in zip(self.points[::2], self.points[1::2], strict=False)]
            self.width *= 2


class Learning:
    """Evaluations, training episodes, episodes of random actions, and successes of one run."""

    def __init__(self) -> None:
        self.evaluations, self.training, self.random = Track(), Track(), Track()
        self.successes: list[float] = []  # of the newest evaluations
        self._tracks = {"evaluations": self.evaluations, "training": self.training, "random": self.random}

    def success(self, share: float) -> None:
        """Note the share of an evaluation's episodes that reached their goal."""
        self.successes = [*self.successes, float(share)][-3:]

    def progress(self) -> Progress:
        """What they say so far."""
        if self.successes:
            reached = float(np.median(self.successes))
            if reached >= SUCCEEDS:
                return Progress("rose", f"{reached:.0%} of the newest evaluations' episodes reach their goal")
            if len(self.successes) == 3 and max(self.successes) == 0.0:
                return Progress("flat", "no episode of the last three evaluations reached its goal")
        trained, evaluated = self.training.count, self.evaluations.count
        training = _judged("training returns", self.training.points, self.random.points)
        if evaluated >= (ENOUGH_EVALUATIONS if trained >= FEWEST_EPISODES else FEWEST_EVALUATIONS):
            # Evaluations from the same starts are alike: what starts differ by shows in training episodes.
            newest = np.asarray(self.training.points[-max(3, len(self.training.points) // 5) :])
            apart = _spread(newest) if trained >= FEWEST_EPISODES else 0.0
            found = _judged("evaluations", self.evaluations.points, self.random.points, apart)
            seen = trained >= FEWEST_EPISODES and training.kind == "rose"
            return training if found.kind == "flat" and seen and evaluated < MANY_EVALUATIONS else found
        if trained >= FEWEST_EPISODES:
            return training
        return Progress(
            "unknown",
            f"{self.evaluations.count} evaluations ({FEWEST_EVALUATIONS} tell) and {self.training.count} training "
            f"episodes with a return ({FEWEST_EPISODES} tell)",
        )

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: track.state_dict() for name, track in self._tracks.items()} | {"successes": list(self.successes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        for name, track in self._tracks.items():
            track.load_state_dict(state.get(name, {}))
        self.successes = list(state.get("successes", ()))


def _judged(what: str, returns: Sequence[float], random: Sequence[float], noise: float = 0.0) -> Progress:
    """Whether the newest fifth lies above where the run began: random actions if known, else its own first values.

    ``noise``: what a rise must pass in any case.
    """
    values = np.asarray(returns, float)
    if len(values) < FEWEST_EVALUATIONS:
        return Progress("unknown", f"{len(values)} {what}")
    newest, known = values[-max(3, len(values) // 5) :], len(random) >= FEWEST_RANDOM
    base = np.asarray(random, float) if known else values[: max(3, len(values) // 10)]
    began, ends = float(np.median(base)), float(np.median(newest))
    windows = [values[i : i + len(newest)] for i in range(len(values) - len(newest) + 1)]
    highest = max(windows, key=np.median)
    best = float(np.median(highest))
    noise = max(_spread(base), _spread(newest), noise, MATERIAL * max(abs(began), abs(ends)))
    s, p = mann_kendall(list(values))
    tail = values[-max(5, len(values) // 20) :]
    text = f"{what}: mean {newest.mean():.4g} of the newest, {base.mean():.4g} of "
    text += "random actions" if known else "the first"
    if best - began > 4.0 * max(_spread(base), _spread(highest)) and len(values) >= FEWEST_LOST:
        low = began + 0.25 * (best - began)
        if ends < low:
            return Progress("lost", f"{text}: they had risen to {best:.4g}, and fell")
        if float(np.quantile(tail, 0.9)) < low:
            return Progress("falls", f"{text}: but the last {len(tail)} fell to {tail.mean():.4g}")
    # Few random episodes are no baseline, but a policy that rises to no more than theirs has only recovered.
    recovered = 0 < len(random) < FEWEST_RANDOM and ends - float(np.median(random)) <= noise
    if _rose(values, base, newest, known, noise) and ends > best - 0.75 * (best - began) and not recovered:
        return Progress("rose", f"{text}: they rose")
    if began - ends > noise and ((s < 0 and p < P) or _below(newest, base)):
        return Progress("fell", f"{text}: they fell")
    return Progress("flat", f"{text}: no rise beyond chance")


def _rose(values: Floats, base: Floats, newest: Floats, known: bool, noise: float) -> bool:
    """Whether returns rose: by more than the noise, and with a trend where random actions are not known.

    A run that learns fast is at its level within the first tenth: then the first three values tell where it began.
    """
    gain = float(np.median(newest) - np.median(base))
    gained = gain > noise or (gain >= 0.0 and _mean_rose(base, newest))
    if known:
        return gained
    s, p = mann_kendall(list(values))
    if gained and s > 0 and p < P:
        return True
    first, jitter = values[:3], float(np.median(np.abs(np.diff(values))))  # from one value to the next
    return float(newest.min()) > float(first.max()) and float(np.median(newest) - np.median(first)) > max(
        4.0 * jitter, noise
    )


def _spread(values: Floats) -> float:
    """Half the interquartile range: noise that a difference of medians must pass."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low) / 2.0


def _mean_rose(base: Floats, newest: Floats) -> bool:
    """Whether the mean rose by three standard errors: of successes and failures, medians tell nothing."""
    error = math.sqrt(float(base.var()) / len(base) + float(newest.var()) / len(newest))
    floor = MATERIAL * max(abs(float(newest.mean())), abs(float(base.mean())))
    return float(newest.mean() - base.mean()) > max(3.0 * error, floor)


def _below(newest: Floats, base: Floats) -> bool:
    """Whether most of the newest lie below the lower quartile of ``base``."""
    return bool(np.mean(newest < np.quantile(base, 0.25)) > 0.75) and math.isfinite(float(newest.sum()))
