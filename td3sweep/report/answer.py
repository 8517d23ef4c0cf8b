"""The answer in words: what changed divergence and return, by how much, how sure, and whether more steps would help."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from td3sweep.monitor.report import FAULTY_WIRING
from td3sweep.report.compare import MATCHED, Comparison
from td3sweep.report.factors import FOLDER, Factor
from td3sweep.report.frame import DIVERGED, SCORE, diverged, horizon
from td3sweep.report.runs import Run
from td3sweep.stats import ALPHA, Estimate, least_paired

PERCENT = 100.0
NOISE = 1e-12  # of differences of sums
NOTHING = "No difference beyond chance was shown."
UNSURE = "No difference can be claimed yet."
TOO_FEW = "Too few runs to tell."


@dataclass(frozen=True)
class Answer:
    """The first paragraph. ``named`` holds the factors that it claims made a difference; names stand in backticks."""

    headline: str
    sentences: tuple[str, ...]
    named: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole paragraph."""
        return " ".join([self.headline, *self.sentences])


def answer(runs: Sequence[Run], factors: Sequence[Factor], found: Sequence[Comparison]) -> Answer:
    """What the comparisons say, and nothing that they do not."""
    compared = [run for run in runs if run.compared]
    named = [factor for factor in factors if any(one.claimed and one.factor == factor.name for one in found)]
    associated = [one.factor for one in found if one.associated]
    if not compared:
        text = f"None of the {len(runs)} runs found here ended in a way that says anything about its settings."
        return Answer("There is nothing to compare yet.", (text,), ())
    if not factors:
        text = _unknown(compared) or f"All {len(compared)} runs that can be compared have the same settings."
        return Answer("There is nothing to compare.", (text, _diverged(compared), _more_steps(compared)), ())
    if named:
        names = _listed([f"`{factor.name}`" for factor in named])
        headline = f"{names} made the difference." if len(named) == 1 else f"{names} each made a difference."
        sentences = [text for factor in named for text in _claims(factor, found)]
        rest = [f"`{factor.name}`" for factor in factors if factor not in named and factor.name not in associated]
        if rest:
            sentences.append(f"Nothing beyond chance was found for {_listed(rest)}.")
    else:
        headline = UNSURE if associated else TOO_FEW if found and _hopeless(found) else NOTHING
        sentences = [*([] if associated else _nothing(found)), _diverged(compared)]
    audited = [(factor.name, level) for factor in factors for level in factor.levels if _audited(factor, level, runs)]
    if audited:
        names = _listed([f"`{name}={level}`" for name, level in audited])
        sentences.insert(
            0, f"The audit at their start ended every run with {names}, and no other: the update is wrong."
        )
        if not named:
            headline = f"{names} failed the audit of its wiring; {headline[0].lower()}{headline[1:]}"
    if associated:
        sentences.append(
            f"{len(associated)} of {len(found)} comparisons hold at p ≤ .05 after correction, but of configurations "
            "that differ in other settings as well and were judged on the seeds they were tuned on: that is an "
            "association (see the effects), no claim."
        )
    sentences += filter(None, [_unknown(compared)])
    sentences.append(_more_steps(compared, named[0], runs) if named else _more_steps(compared))
    return Answer(headline, tuple(sentences), tuple(factor.name for factor in named))


def _unknown(compared: Sequence[Run]) -> str:
    """How many runs do not tell their settings: they may differ in more than it seems."""
    unknown = sum(not run.config for run in compared)
    return f"The settings of {unknown} of {len(compared)} runs are not known." if unknown else ""


def _audited(factor: Factor, level: str, runs: Sequence[Run]) -> bool:
    """Whether the wiring audit ended all runs of a level before they learnt, and none of another: measured, exact."""
    ended = {of for of, run in zip(factor.of, runs, strict=True) if _ended_by_audit(run)}
    mine = [run for of, run in zip(factor.of, runs, strict=True) if of == level and run.compared]
    return ended == {level} and all(_ended_by_audit(run) for run in mine)


def _ended_by_audit(run: Run) -> bool:
    return run.compared and not run.observed and run.verdict == FAULTY_WIRING


def _claims(factor: Factor, found: Sequence[Comparison]) -> list[str]:
    """One sentence an outcome: the surest of the factor's comparisons, the larger effect where several are as sure."""
    sentences = []
    for outcome in (DIVERGED, SCORE):
        mine = [one for one in found if one.factor == factor.name and one.outcome == outcome]
        if not mine:
            continue
        one = min(mine, key=lambda one: (one.adjusted, -abs(one.effect.value)))
        sentences.append(_divergence(one, len(found)) if outcome == DIVERGED else _return(one, len(found)))
    return sentences


def _divergence(one: Comparison, family: int) -> str:
    by = "" if one.until is None else f" by step {one.until:,}"
    if not one.claimed:
        return (
            f"It was not shown to change how many runs diverge{by} ({one.side.count} of {one.side.runs} with "
            f"`{one.factor}={one.side.level}`, {one.base.count} of {one.base.runs} with `{one.base.level}`)."
        )
    points = PERCENT * one.effect.value
    return (
        f"With `{one.factor}={one.side.level}` rather than `{one.base.level}`, {one.side.count} of {one.side.runs} "
        f"runs diverged{by} instead of {one.base.count} of {one.base.runs}: {abs(points):.0f} percentage points "
        f"{'more' if points > 0 else 'fewer'} ({_sure(one, PERCENT, family)})."
    )


def _return(one: Comparison, family: int) -> str:
    if not one.claimed:
        found = ", ".join(filter(None, [signed(one.effect.value), span(one.effect)]))
        return f"No change of the return beyond chance was found ({found})."
    higher = "higher" if one.effect.value > 0 else "lower"
    return (
        f"`{one.factor}={one.side.level}` returned {number(abs(one.effect.value))} {higher} than `{one.base.level}` "
        f"({_sure(one, 1, family)})."
    )


def _sure(one: Comparison, scale: float, family: int) -> str:
    """How sure: interval, corrected p, what it rests on."""
    interval = span(one.effect, scale)
    seeds = f"{one.seeds} seed{'s' if one.seeds != 1 else ''}"
    rest = (
        f"pairs of runs on {seeds} that differ in nothing else"
        if one.design == MATCHED
        else f"runs on {seeds} that differ in nothing but that and the seed"
    )
    known = ", as far as is known" if one.factor == FOLDER else ""
    return (
        f"{interval and f'{interval}; '}p {below(one.adjusted)} after correction for {family} comparisons, "
        f"{one.units} {rest}{known}"
    )


def _nothing(found: Sequence[Comparison]) -> list[str]:
    if not found:
        return ["No outcome varied, or no two runs can be compared."]
    sentences = [f"Of {len(found)} comparisons none stays at p ≤ .05 after correction."]
    if _hopeless(found):
        most = max(one.pairs for one in found)
        pairs = "is 1 pair" if most == 1 else f"are {most or 'no'} pairs"
        fewest = next(number for number in count(1) if least_paired(number) * len(found) <= ALPHA)
        sentences.append(
            f"There {pairs} of runs that differ in a single setting, and {fewest} are the fewest that "
            "could show anything here: that is too few runs, not evidence of no difference."
        )
    return sentences


def _hopeless(found: Sequence[Comparison]) -> bool:
    """Whether even the clearest outcome would not have come below 5 % after correction."""
    return all(one.least * len(found) > ALPHA for one in found)


def _diverged(compared: Sequence[Run]) -> str:
    """How many, of those of which it is known at the step up to which runs are compared."""
    until = horizon(compared)
    known = [one for run in compared if not math.isnan(one := diverged(run, until))]
    by = f" by step {until:,}" if any(run.steps > until for run in compared) else ""
    unknown = len(compared) - len(known)
    rest = f"; of {unknown} more that is not known" if unknown else ""
    return f"{sum(known):.0f} of {len(known)} runs diverged{by}{rest}."


def _more_steps(compared: Sequence[Run], factor: Factor | None = None, runs: Sequence[Run] = ()) -> str:
    """The monitors' answers, by the level of a factor where one made a difference."""
    if factor is None:
        return f"Would more steps help? {_tally(compared).capitalize()}."
    parts = []
    for level in factor.levels:
        mine = [run for run, of in zip(runs, factor.of, strict=True) if of == level and run.compared]
        if mine:
            parts.append(f"with `{factor.name}={level}` {_tally(mine)}")
    text = "; ".join(parts)
    return f"Would more steps help? {text[:1].upper()}{text[1:]}."


def _tally(runs: Sequence[Run]) -> str:
    """``no for 10 of 12 runs, not yet known for 2``."""
    counts = Counter(run.more_steps or "not yet known" for run in runs)
    parts = [f"{word} for {'all' if count == len(runs) else count}" for word, count in counts.most_common()]
    return ", ".join([f"{parts[0]} of {len(runs)} runs".replace("all of", "all"), *parts[1:]])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(value: float) -> str:
    """Three figures, whole numbers from 100 up."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def signed(value: float) -> str:
    """The same with a sign that is a minus, not a hyphen; what rounding left of nothing is nothing."""
    if abs(value) < NOISE:
        return "0"
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


def bounds(estimate: Estimate, scale: float = 1.0) -> str:
    """``-3 to 5``; whole percentage points (scale 100); empty where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    sides = [scale * estimate.low, scale * estimate.high]
    noise = 1e-6 * max(abs(side) for side in sides)
    words = [f"{side:.0f}" if scale == PERCENT else number(side if abs(side) > noise else 0.0) for side in sides]
    return " to ".join(words).replace("-", "−")


def span(estimate: Estimate, scale: float = 1.0) -> str:
    """The same in words: ``95 % interval -3 to 5``."""
    told = bounds(estimate, scale)
    return told and f"95 % interval {told}"


def below(p: float) -> str:
    """``= .012`` or ``< .001``."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".", 1)
