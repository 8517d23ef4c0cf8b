"""A monitor never ends the training that it watches: what goes wrong in it is told of once, and training goes on."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")
log = logging.getLogger(__name__)


def harmless(instead: Callable[[], T]) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """A method that returns ``instead()`` where it fails; the first failure of each object is logged with its cause."""

    def decorate(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                if not getattr(self, "_told_of_failure", False):
                    vars(self)["_told_of_failure"] = True
                    where = f"{type(self).__name__}.{getattr(method, '__name__', 'call')}"
                    log.warning("%s failed (%s: %s); training goes on unwatched there", where, type(error).__name__,
                                error, exc_info=error)  # fmt: skip
                return instead()

        return guarded

    return decorate


def nothing() -> list[Any]:
    """No alarm."""
    return []
