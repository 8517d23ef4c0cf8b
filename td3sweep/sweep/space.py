"""Search spaces: Hydra's sweep words in, Optuna's distributions out, and back to overrides."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from td3sweep.config.words import ONE_MINUS, teach
from td3sweep.errors import UserError

LOG = "log"
Value = None | bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One swept key.

    Attributes:
        key: what is overridden: a dotted key or a config group.
        word: how the user wrote it, such as ``tag(log, interval(1e-3, 8e-2))``.
        distribution: what Optuna draws from.
        complement: what is drawn is 1 minus the key's value.
        spelt: how each choice is written in an override.
    """

    key: str
    word: str
    distribution: BaseDistribution
    complement: bool = False
    spelt: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the study."""
        return f"1-{self.key}" if self.complement else self.key

    def override(self, value: Value) -> str:
        """``key=value`` for a value of the study."""
        if isinstance(self.distribution, CategoricalDistribution):
            return f"{self.key}={self.spelt[int(self.distribution.to_internal_repr(value))]}"
        assert isinstance(value, (int, float))
        return f"{self.key}={1 - value if self.complement else value!r}"

    def of_setting(self, value: Any) -> Value:
        """The study's value for a setting of this key. Raises ValueError where the space does not hold it."""
        drawn = round(1 - value, 12) if self.complement else value
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            inside = drawn in found.choices
        else:
            assert isinstance(found, (IntDistribution, FloatDistribution))
            inside = found.low <= drawn <= found.high and (self.values() is None or drawn in (self.values() or ()))
        if not inside:
            raise ValueError(f"{self.key}={value} lies outside {self.word}")
        return drawn  # type: ignore[no-any-return]

    def values(self) -> list[Value] | None:
        """Every value, or None where they are without end."""
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            return list(found.choices)
        assert isinstance(found, (IntDistribution, FloatDistribution))
        if found.step is None or found.log:
            return None
        count = math.floor((found.high - found.low) / found.step + 1e-9) + 1
        return [type(found.low)(round(found.low + found.step * i, 12)) for i in range(count)]

    def edges(self) -> list[Value]:
        """The smallest and the largest value; of a choice, all."""
        found = self.distribution
        if isinstance(found, CategoricalDistribution):
            return list(found.choices)
        assert isinstance(found, (IntDistribution, FloatDistribution))
        return [found.low, found.high]


@dataclass(frozen=True)
class Space:
    """The swept keys of a sweep."""

    parameters: tuple[Parameter, ...]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """For ``study.ask``."""
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    @property
    def words(self) -> dict[str, str]:
        """Key -> how it was written."""
        return {parameter.key: parameter.word for parameter in self.parameters}

    def overrides(self, params: Mapping[str, Value]) -> list[str]:
        """The overrides of one point."""
        return [parameter.override(params[parameter.name]) for parameter in self.parameters]

    @property
    def size(self) -> int | None:
        """Number of points; None if there is no end of them."""
        counts = [None if (values := parameter.values()) is None else len(values) for parameter in self.parameters]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def points(self) -> Iterator[dict[str, Value]]:
        """Every point of a finite space, the last key changing fastest, as Hydra's own sweeper has it."""
        axes = [parameter.values() or [] for parameter in self.parameters]
        names = [parameter.name for parameter in self.parameters]
        return (dict(zip(names, point, strict=True)) for point in itertools.product(*axes))

    def halves(self) -> list[dict[str, Value]]:
        """Every point of a finite space, first those whose level numbers add up to an even number.

        With k factors of two levels that half is the 2^(k-1) fractional factorial of resolution k: every factor is
        balanced, and so is every combination of up to k-1 of them (Box, Hunter and Hunter, "Statistics for
        Experimenters", chapter 6).
        """
        levels = [range(len(parameter.values() or [])) for parameter in self.parameters]
        odd = [sum(point) % 2 for point in itertools.product(*levels)]
        return [point for _, point in sorted(zip(odd, self.points(), strict=True), key=lambda pair: pair[0])]

    def corners(self) -> list[dict[str, Value]]:
        """Few points that meet every choice and both ends of every range."""
        axes = [parameter.edges() for parameter in self.parameters]
        names = [parameter.name for parameter in self.parameters]
        most = max((len(axis) for axis in axes), default=0)
        return [dict(zip(names, (axis[i % len(axis)] for axis in axes), strict=True)) for i in range(most)]


def parse_space(group: Mapping[str, str], arguments: Sequence[str]) -> tuple[Space, list[str]]:
    """Tell what is swept from what is fixed.

    Args:
        group: key -> word of the chosen ``space=``.
        arguments: overrides of the command line; a sweep word there takes the place of the group's.

    Returns:
        The space, and the arguments that are fixed for all trials.

    Raises:
        UserError: a word that says nothing, or contradicts itself or a fixed argument.
    """
    parsed = [_parse(argument) for argument in arguments]
    swept = {override.get_key_element(): override for override in parsed if override.is_sweep_override()}
    fixed = {override.get_key_element(): override for override in parsed if not override.is_sweep_override()}
    for key, word in group.items():
        if key in fixed:
            raise UserError(
                f"{fixed[key].input_line}: space=... sweeps it as {word}; drop one of the two, or narrow it "
                f"with {key}=choice(...)"
            )
        if key not in swept:
            swept[key] = _parse(f"{key}={word}", "space: ")
            if not swept[key].is_sweep_override():
                raise UserError(
                    f"space: {key}={word}: nothing to sweep; write choice(...), range(...) or interval(...)"
                )
    return Space(tuple(_parameter(key, override) for key, override in swept.items())), [
        str(override.input_line) for override in fixed.values()
    ]


def _parse(argument: str, where: str = "") -> Override:
    teach()
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException as error:
        raise UserError(
            f"{where}{argument}: {_reason(error)}; write choice(a, b), range(1, 9), interval(0, 1), "
            "tag(log, interval(1e-5, 1e-2)) or one_minus(...)"
        ) from error


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("See ")]
    return lines[0].rstrip(".")


def _parameter(key: str, override: Override) -> Parameter:
    line = str(override.input_line)
    word = line.partition("=")[2]
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            return Parameter(key, word, _interval(value), ONE_MINUS in value.tags)
        if isinstance(value, RangeSweep) and not value.shuffle:
            return Parameter(key, word, _range(value), ONE_MINUS in value.tags)
        texts = list(override.sweep_string_iterator())
        choices = [_plain(element, text) for element, text in zip(_elements(override), texts, strict=True)]
        if len(set(map(repr, choices))) != len(choices):
            raise ValueError("a choice stands in it twice")
        return Parameter(key, word, CategoricalDistribution(choices), spelt=tuple(texts))
    except (ValueError, HydraException) as error:
        raise UserError(f"{line}: {_reason(error)}; give it at least one value, in ascending order") from error


def _elements(override: Override) -> Iterable[Any]:
    return override.sweep_iterator(transformer=Transformer.identity)


def _plain(element: Any, text: str) -> Value:
    return element if element is None or isinstance(element, (bool, int, float)) else text.strip("'\"")


def _interval(value: IntervalSweep) -> BaseDistribution:
    low, high, log = value.start, value.end, LOG in value.tags
    assert low is not None
    assert high is not None
    _check_ends(value, low, high)
    if isinstance(low, int) and isinstance(high, int) and ONE_MINUS not in value.tags:
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _range(value: RangeSweep) -> BaseDistribution:
    """As the stock Optuna plugin reads it: the stop is part of the range."""
    low, high, step = value.start, value.stop, value.step
    assert low is not None
    assert high is not None
    _check_ends(value, low, high)
    if LOG in value.tags:
        raise ValueError("a range has steps, so it cannot be log; write interval(...)")
    if step <= 0:
        raise ValueError(f"its step {step} is not positive")
    if all(isinstance(number, int) for number in (low, high, step)):
        return IntDistribution(int(low), int(high), step=int(step))
    return FloatDistribution(float(low), float(high), step=float(step))


def _check_ends(value: IntervalSweep | RangeSweep, low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"it is empty, from {low} to {high}")
    if LOG in value.tags and low <= 0:
        raise ValueError(f"log needs a positive lower end, not {low}")
    if ONE_MINUS in value.tags and not (low >= 0 and high <= 1):
        raise ValueError(f"one_minus needs ends from 0 to 1, not {low} to {high}")
