"""What the described document says, and the rule by which the study's runs answer it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.learning.cells import rows_of
from benchmarks.page import DOCS
from benchmarks.study.parts import WIRINGS
from benchmarks.study.runs import ASKED, Result, baseline, factor_over, factors, geometric, mean, of_cell, ratio, spread
from td3sweep.monitor.growth import fit_growth
from td3sweep.report.answer import below
from td3sweep.report.runs import DIVERGED
from td3sweep.stats import Floats, sign_flip

HOLDS, PARTLY, NOT, OPEN = "holds", "holds in part", "does not hold", "not decided here"
SYMPTOM = "the growth stops, the fault stays"
EXPLODED = 10.0  # the actor's Q so many times the critic's own: an order of magnitude
CROSSED, SEPARATE, SUMMED = f"{ASKED}, crossed", f"{ASKED}, separate", "sum of norms"
SETTLED = 1100  # step of update 100: by then the critic's Q has found its level
CLAIMED = 5  # seeds that a claim about learning needs
LOGGED, LOGGED_AT = 1_796_760, 5000  # the actor's Q in the document, and its step; learning began at 1,000 as here
LIMITS = {"actor": 1.0, "critic": 10.0}
Answer = tuple[str, str]


@dataclass(frozen=True)
class Claim:
    """One sentence of the document.

    Attributes:
        says: the sentence, shortened.
        command: runs what it is judged by.
        rule: the study's runs -> verdict and figures.
        cells: without a run of each of these it is not decided.
    """

    says: str
    command: str
    rule: Callable[[Sequence[Result]], Answer]
    cells: tuple[str, ...] = (CROSSED, SEPARATE)

    def judge(self, runs: Sequence[Result]) -> Answer:
        """Verdict and figures."""
        missing = [cell for cell in self.cells if not of_cell(runs, cell)]
        return (OPEN, f"not run: {'; '.join(missing)}") if missing else self.rule(runs)


def _explodes(runs: Sequence[Result]) -> Answer:
    crossed, separate = of_cell(runs, CROSSED), of_cell(runs, SEPARATE)
    holds = geometric([run.overshoot for run in crossed])[1] > EXPLODED
    changes = np.log(factors(crossed, separate, lambda run: run.overshoot))
    return HOLDS if holds else OPEN, (
        f"actor's Q over the critic's own: crossed {ratio([run.overshoot for run in crossed])}, separate "
        f"{ratio([run.overshoot for run in separate])}; {len(changes)} pairs of seeds, p {_chance(changes)}"
    )


def _critic_diverges(runs: Sequence[Result]) -> Answer:
    """It does where its Q leaves what rewards allow, or grows by an order of magnitude from update 100 to the end."""
    both = {wiring: of_cell(runs, f"{ASKED}, {wiring}") for wiring in WIRINGS}
    grown = {wiring: [run.end("q/q1") / run.at("q/q1", SETTLED) for run in mine] for wiring, mine in both.items()}
    allowed = [run.end("reward/max") / (1.0 - run.end("gamma")) for run in both["crossed"]]
    over = [abs(run.end("q/q1")) / bound for run, bound in zip(both["crossed"], allowed, strict=True)]
    diverges = max(over) > 1.0 or geometric(grown["crossed"])[2] > EXPLODED
    told = [
        f"{wiring} {mean([run.end('q/q1') for run in mine])}, {ratio(grown[wiring])} times that of update 100"
        for wiring, mine in both.items()
    ]
    return HOLDS if diverges else NOT, (
        f"the critic's own Q at the end: {'; '.join(told)}; at most {100 * max(over):.1f} % of what rewards allow"
    )


def _clip_is_broken(runs: Sequence[Result]) -> Answer:
    joint = [run for run in runs if run.part in ("reproduce", "fixes") and not run.cell.startswith("clip")]
    most = {net: max(run.most(f"grad/{net}/joint/after") for run in joint) for net in LIMITS}
    sums = [mean([run.mean(f"grad/{net}/cnn/after") for run in of_cell(runs, SUMMED)]) for net in LIMITS]
    broken = any(most[net] > 1.001 * limit for net, limit in LIMITS.items())
    return HOLDS if broken else NOT, (
        f"largest joint norm after the clip in {len(joint)} runs: {most['actor']:.4f} of 1 and {most['critic']:.3f} of "
        f"10; the same gradients logged as the sum of the CNN's tensor norms: {' and '.join(sums)} on average"
    )


def _stops(*fixes: str) -> Callable[[Sequence[Result]], Answer]:
    """Where the gap was an order of magnitude, a fix stops it if it is less in every run with the fix.

    That is the symptom alone: the wiring stays crossed, and the audit says so.
    """

    def rule(runs: Sequence[Result]) -> Answer:
        words, cured = [], []
        for fix in fixes:
            crossed, separate = (of_cell(runs, f"{fix}, {wiring}") for wiring in WIRINGS)
            if not crossed or not separate:
                words.append(f"{fix}: not run")
                continue
            base = of_cell(runs, f"{baseline(fix)}, crossed")
            if geometric([run.overshoot for run in base])[0] < EXPLODED:
                return OPEN, f"without it the actor's Q is {ratio([run.overshoot for run in base])} times the critic's"
            cured.append(max(run.overshoot for run in crossed) < EXPLODED)
            words.append(
                f"{fix}: crossed {ratio([run.overshoot for run in crossed])}, gap {factor_over(crossed, base)} times "
                f"that without it; separate {ratio([run.overshoot for run in separate])}"
            )
        return SYMPTOM if all(cured) else PARTLY if any(cured) else NOT, "; ".join(words)

    return rule


def _cells_of(fix: str) -> tuple[str, ...]:
    return (*(f"{fix}, {wiring}" for wiring in WIRINGS), f"{baseline(fix)}, crossed")


def _piles_up(runs: Sequence[Result]) -> Answer:
    """By the critic's gradient before the clip, correctly wired, LSTM over GRU on the same seeds."""
    gru, lstm = of_cell(runs, "gru48, separate"), of_cell(runs, "lstm256, separate")
    times = factors(lstm, gru, lambda run: run.mean("grad/critic/joint/before"))
    _, low, high = geometric(times)
    return HOLDS if low > 1.0 else NOT if high < 1.0 else OPEN, (
        f"critic's gradient before the clip, LSTM-256 over GRU-48: {ratio(times)}"
    )


def _growth(runs: Sequence[Result]) -> Answer:
    fits = [fit_growth(*run.rise) for run in of_cell(runs, CROSSED)]
    laws = Counter(fit.best.family.name for fit in fits)
    told = ", ".join(f"{count} {law}" for law, count in laws.most_common())
    holds = HOLDS if set(laws) == {"exponential"} else PARTLY if laws["exponential"] else NOT
    ahead = [fit.at(fit.best, LOGGED_AT) for fit in fits]
    return holds, (
        f"law of the gap that AICc chooses in the crossed runs: {told}; carried on to step {LOGGED_AT:,}, four times "
        f"as far as was seen, it gives {spread(ahead)}; the document's run logged {LOGGED:,}"
    )


def _lengths(runs: Sequence[Result]) -> Answer:
    """Collapse: half the length of random episodes or less. With Q: under crossed wiring, and more than without."""
    crossed, separate = of_cell(runs, CROSSED), of_cell(runs, SEPARATE)
    shares = [[run.length / run.warmup_length for run in mine] for mine in (crossed, separate)]
    collapsed, either_way = (geometric(share)[2] < 0.5 for share in shares)
    changes = np.log(factors(crossed, separate, lambda run: run.length))
    more = changes.mean() < 0.0 and float(sign_flip(changes)) <= 0.05
    verdict = NOT if not collapsed or (either_way and not more) else PARTLY if either_way else HOLDS
    return verdict, (
        f"last ten episodes over those of random actions: crossed {ratio(shares[0])}, separate {ratio(shares[1])}; "
        f"crossed over separate {ratio(np.exp(changes))}, p {_chance(changes)}"
    )


def _more_steps(runs: Sequence[Result]) -> Answer:
    """By what the monitor saw of learning (D1-D3), not by the audit, which knows the wiring beforehand."""
    first = {cell: [run.failed(DIVERGED) for run in of_cell(runs, cell)] for cell in (CROSSED, SEPARATE)}
    told = [
        f"{cell.rpartition(' ')[2]} {sum(step is not None for step in steps)} of {len(steps)}"
        + (f", first at step {min(step for step in steps if step is not None):,}" if any(steps) else "")
        for cell, steps in first.items()
    ]
    settled = all(step is not None for step in first[CROSSED])
    return HOLDS if settled else OPEN, f"runs that the monitor calls diverging (D1-D3): {'; '.join(told)}"


def _too_few(_: Sequence[Result]) -> Answer:
    rows = [row for row in rows_of(DOCS / "data/learning.jsonl") if row["table"] == "drive"]
    driven = [100 * row["tests"][""]["success"] for row in sorted(rows, key=lambda row: row["seed"])]
    enough = sum(success >= 90 for success in driven)
    verdict = OPEN if len(driven) < CLAIMED else NOT if enough == len(driven) else PARTLY
    told = ", ".join(f"{success:.0f}" for success in driven)
    return verdict, (
        f"`experiment=drive`, 5,000 steps, {len(driven)} seeds: {told} % of 20 test routes driven from image and speed"
    )


def _untested(_: Sequence[Result]) -> Answer:
    return OPEN, "they are options here: `replay=per`, `target=mpg`, `reward=described_phase3`, `experiment=phase3`"


def _chance(changes: Floats) -> str:
    return below(float(sign_flip(changes)))


STUDY = "python -m benchmarks.study"
CLIPS, NUMBERS = ("clip off", "clip per module", "clip by value"), ("hyperparams=paper",)
CLAIMS = (
    Claim("Q-values explode", f"{STUDY} reproduce", _explodes),
    Claim("the critic's Q diverges", f"{STUDY} reproduce", _critic_diverges),
    Claim("gradient clipping is broken: 2.42 of 1.0, 24.69 of 10.0", f"{STUDY} reproduce norms", _clip_is_broken,
          (CROSSED, SUMMED)),
    Claim("clipping is the root cause: another clip stops the explosion", f"{STUDY} fixes", _stops(*CLIPS),
          _cells_of(CLIPS[0])),
    Claim("the TD3 paper's hyperparameters stop it", f"{STUDY} fixes", _stops(*NUMBERS), _cells_of(NUMBERS[0])),
    Claim("a smaller batch stops it", f"{STUDY} fixes", _stops("nature, batch 16"), _cells_of("nature, batch 16")),
    Claim("max-pooling stops it", f"{STUDY} fixes", _stops("pooled, batch 16"), _cells_of("pooled, batch 16")),
    Claim("a GRU of 48 units stops it", f"{STUDY} fixes ablation", _stops("gru48"), _cells_of("gru48")),
    Claim("LSTM-256 piles up gradients, GRU-48 does not", f"{STUDY} fixes", _piles_up,
          (*_cells_of("gru48"), *_cells_of("lstm256"))),
    Claim("Q grows exponentially and overflows", f"{STUDY} reproduce", _growth),
    Claim("episodes collapse with it", f"{STUDY} reproduce", _lengths),
    Claim("more steps will not help this system", f"{STUDY} reproduce", _more_steps),
    Claim("5,000 steps are a negligible part of what a CNN needs", "python -m benchmarks.learning drive", _too_few, ()),
    Claim("PER, MPG and shaped rewards are needed later", "python -m td3sweep.gates experiment=phase3", _untested, ()),
)  # fmt: skip
