"""What the described document says, and the rule by which the study's runs answer it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.cells import rows_of
from benchmarks.page import DOCS
from benchmarks.study import WIRINGS
from benchmarks.study_runs import Result, baseline, factor_over, factors, geometric, mean, of_cell, ratio, spread
from td3sweep.monitor.growth import fit_growth
from td3sweep.report.answer import below
from td3sweep.report.stats import Floats, sign_flip

HOLDS, PARTLY, NOT, OPEN = "holds", "holds in part", "does not hold", "not decided here"
EXPLODED = 10.0  # the actor's Q so many times the critic's own: an order of magnitude
CROSSED, SEPARATE = "as it ran, crossed", "as it ran, separate"
LOGGED, LOGGED_AT = 1_796_760, 5000  # the actor's Q in the document, and its step; learning began at 1,000 as here
LIMITS = {"actor": 1.0, "critic": 10.0}
Answer = tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """One sentence of the document.

    Attributes:
        says: the sentence, shortened.
        command: runs what it is judged by.
        judge: the study's runs -> verdict and figures.
    """

    says: str
    command: str
    judge: Callable[[Sequence[Result]], Answer]


def _explodes(runs: Sequence[Result]) -> Answer:
    crossed, separate = of_cell(runs, CROSSED), of_cell(runs, SEPARATE)
    holds = geometric([run.overshoot for run in crossed])[1] > EXPLODED
    changes = np.log(factors(crossed, separate, lambda run: run.overshoot))
    return HOLDS if holds else OPEN, (
        f"actor's Q over the critic's own: crossed {ratio([run.overshoot for run in crossed])}, separate "
        f"{ratio([run.overshoot for run in separate])}; {len(changes)} pairs of seeds, p {_chance(changes)}"
    )


def _critic_diverges(runs: Sequence[Result]) -> Answer:
    crossed = of_cell(runs, CROSSED)
    off = sum(abs(run.end("q/q1") - run.end("q/target")) > 0.5 * abs(run.end("q/target")) for run in crossed)
    told = [
        f"{wiring} {mean([run.end('q/q1') for run in mine])} against {mean([run.end('q/target') for run in mine])}"
        for wiring, mine in (("crossed", crossed), ("separate", of_cell(runs, SEPARATE)))
    ]
    return PARTLY if off else NOT, (
        f"the critic's own Q against its target: {', '.join(told)}; off by half in {off} of {len(crossed)} crossed runs"
    )


def _clip_is_broken(runs: Sequence[Result]) -> Answer:
    joint = [run for run in runs if not run.cell.startswith(("clip", "sum of norms"))]
    most = {net: max(run.most(f"grad/{net}/joint/after") for run in joint) for net in LIMITS}
    sums = [mean([run.mean(f"grad/{net}/cnn/after") for run in of_cell(runs, "sum of norms")]) for net in LIMITS]
    broken = any(most[net] > 1.001 * limit for net, limit in LIMITS.items())
    return PARTLY if broken else NOT, (
        f"largest joint norm after the clip in {len(joint)} runs: {most['actor']:.4f} of 1 and {most['critic']:.3f} of "
        f"10; the same gradients logged as the sum of the CNN's tensor norms: {' and '.join(sums)} on average"
    )


def _cure(*fixes: str) -> Callable[[Sequence[Result]], Answer]:
    """A fix cures what the wiring does if in no crossed run the gap is an order of magnitude any more."""

    def judge(runs: Sequence[Result]) -> Answer:
        words, cured = [], []
        for fix in fixes:
            crossed, separate = (of_cell(runs, f"{fix}, {wiring}") for wiring in WIRINGS)
            if not crossed or not separate:
                return OPEN, "not run"
            base = of_cell(runs, f"{baseline(fix)}, crossed")
            cured.append(max(run.overshoot for run in crossed) < EXPLODED)
            words.append(
                f"{fix}: crossed {ratio([run.overshoot for run in crossed])}, gap {factor_over(crossed, base)} times "
                f"that without it; separate {ratio([run.overshoot for run in separate])}"
            )
        return HOLDS if all(cured) else PARTLY if any(cured) else NOT, "; ".join(words)

    return judge


def _growth(runs: Sequence[Result]) -> Answer:
    fits = [fit_growth(*run.rise) for run in of_cell(runs, CROSSED)]
    laws = Counter(fit.best.family.name for fit in fits)
    told = ", ".join(f"{count} {law}" for law, count in laws.most_common())
    holds = HOLDS if set(laws) == {"exponential"} else PARTLY if laws["exponential"] else NOT
    ahead = [fit.at(fit.best, LOGGED_AT) for fit in fits]
    return holds, (
        f"law of the gap that AICc chooses in the crossed runs: {told}; carried on to step {LOGGED_AT:,} it gives "
        f"{spread(ahead)}, and the document's run logged {LOGGED:,}"
    )


def _lengths(runs: Sequence[Result]) -> Answer:
    crossed, separate = of_cell(runs, CROSSED), of_cell(runs, SEPARATE)
    shares = [[run.length / run.warmup_length for run in mine] for mine in (crossed, separate)]
    changes = np.log(factors(crossed, separate, lambda run: run.length))
    shorter = all(geometric(share)[2] < 1 for share in shares)
    return PARTLY if shorter else OPEN, (
        f"last ten episodes over those of random actions: crossed {ratio(shares[0])}, separate {ratio(shares[1])}; "
        f"difference between the wirings p {_chance(changes)}"
    )


def _more_steps(runs: Sequence[Result]) -> Answer:
    told = {}
    for cell in (CROSSED, SEPARATE):
        words = Counter(run.summary["more_steps_help"] for run in of_cell(runs, cell))
        told[cell] = ", ".join(f"{count} {word}" for word, count in words.most_common())
    settled = all(run.summary["more_steps_help"] == "no" for run in of_cell(runs, CROSSED))
    return HOLDS if settled else OPEN, f"the monitor says: crossed {told[CROSSED]}; separate {told[SEPARATE]}"


def _too_few(_: Sequence[Result]) -> Answer:
    rows = [row for row in rows_of(DOCS / "data/learning.jsonl") if row["table"] == "drive"]
    driven = [100 * row["tests"][""]["success"] for row in sorted(rows, key=lambda row: row["seed"])]
    enough = sum(success >= 90 for success in driven)
    return NOT if enough == len(driven) else PARTLY if enough else OPEN, (
        f"`experiment=drive`, 5,000 steps: {', '.join(f'{success:.0f}' for success in driven)} % of 20 test routes "
        "driven from image and speed, seed by seed"
    )


def _untested(_: Sequence[Result]) -> Answer:
    return OPEN, "they are options here: `replay=per`, `target=mpg`, `reward=seed_phase3`, `experiment=phase3`"


def _chance(changes: Floats) -> str:
    return below(float(sign_flip(changes)))


STUDY = "python -m benchmarks.study"
CLAIMS = (
    Claim("Q-values explode", f"{STUDY} reproduce", _explodes),
    Claim("so the critic overestimates: Q-learning diverges", f"{STUDY} reproduce", _critic_diverges),
    Claim("gradient clipping is broken: 2.42 of 1.0, 24.69 of 10.0", f"{STUDY} reproduce norms", _clip_is_broken),
    Claim(
        "mending the clip unblocks learning", f"{STUDY} fixes", _cure("clip off", "clip per module", "clip by value")
    ),
    Claim(
        "hyperparameters are catastrophically wrong",
        f"{STUDY} fixes",
        _cure("hyperparams=paper", "hyperparams=current"),
    ),
    Claim("the batch is too large", f"{STUDY} fixes", _cure("nature, batch 16")),
    Claim("max-pooling lets gradients flow", f"{STUDY} fixes", _cure("pooled, batch 16")),
    Claim(
        "GRU-48 in the place of LSTM-256 keeps gradients from piling up", f"{STUDY} fixes", _cure("gru48", "lstm256")
    ),
    Claim("Q grows exponentially and overflows", f"{STUDY} reproduce", _growth),
    Claim("episodes collapse with it", f"{STUDY} reproduce", _lengths),
    Claim("more steps will not help this system", f"{STUDY} reproduce", _more_steps),
    Claim("5,000 steps are a negligible part of what a CNN needs", "python -m benchmarks.learning drive", _too_few),
    Claim("PER, MPG and shaped rewards are needed later", "python -m td3sweep.gates experiment=phase3", _untested),
)
