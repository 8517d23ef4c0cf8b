"""``one_minus(...)`` beside Hydra's own sweep words, on the command line and in ``conf/space/``."""

# No postponed annotations here: Hydra checks an argument against the annotation as a type.
from hydra._internal.grammar.functions import Functions
from hydra.core.override_parser import overrides_parser
from hydra.core.override_parser.types import IntervalSweep, RangeSweep

ONE_MINUS = "one_minus"
_hydras_words = overrides_parser.create_functions


def one_minus(sweep: IntervalSweep | RangeSweep) -> IntervalSweep | RangeSweep:
    """What is searched is 1 minus the value, as in ``gamma=one_minus(tag(log, interval(1e-4, 0.1)))``."""
    sweep.tags.add(ONE_MINUS)
    return sweep


def _all_words() -> Functions:
    functions = _hydras_words()
    functions.register(name=ONE_MINUS, func=one_minus)
    return functions


def teach() -> None:
    """Make Hydra's parser of overrides know the word; safe to call twice. Hydra has no other way to add one."""
    overrides_parser.create_functions = _all_words
