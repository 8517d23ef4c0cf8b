"""What a command line may say that Hydra does not know: ``demonstrations=PATH``, and options by a former name."""

import re
from collections.abc import Iterable
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from td3sweep.config.former import renamed
from td3sweep.config.presets import options

GROUP = "demonstrations"
OPTION = "recorded"
SWEPT = re.compile(r"[,(\[{]")  # several values, which are written out one by one when they are composed
PLAIN = re.compile(r"[\w./+@%-]+", re.ASCII)  # what Hydra reads without quotes
_hydras_parse = OverridesParser.parse_overrides


def written_out(overrides: Iterable[str]) -> list[str]:
    """The overrides with ``demonstrations=PATH`` as the option and its path, absolute: workers run elsewhere.

    A path is what has a slash in it, or is a directory and no option's name.
    """
    words: list[str] = []
    for word in overrides:
        key, _, value = word.partition("=")
        bare = value[1:-1] if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1 else value
        if key != GROUP or not _is_path(bare, quoted=bare != value):
            words.append(word)
            continue
        path = str(Path(bare).expanduser().absolute())
        quoted = path if PLAIN.fullmatch(path) else "'" + path.replace("'", r"\'") + "'"
        words += [f"{GROUP}={OPTION}", f"{GROUP}.path={quoted}"]
    return words


def _is_path(value: str, quoted: bool) -> bool:
    if not value or value == OPTION or (SWEPT.search(value) and not quoted):
        return False
    return "/" in value or (Path(value).is_dir() and not _is_option(value))


def _is_option(name: str) -> bool:
    return name in options(GROUP)


def _parse(self: OverridesParser, overrides: list[str]) -> list[Override]:
    return _hydras_parse(self, renamed(written_out(overrides)))


def teach() -> None:
    """Make Hydra's parser of overrides, which every command line passes, write it out; safe to call twice."""
    OverridesParser.parse_overrides = _parse  # type: ignore[method-assign]
