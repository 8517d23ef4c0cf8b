"""A database may be away for a while; a sweep waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError

T = TypeVar("T")
log = logging.getLogger(__name__)
PATIENCE_S = 600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0


def retry(call: Callable[[], T], patience: float = PATIENCE_S) -> T:
    """``call()``, again and again while the storage can't be reached.

    Raises:
        StorageInternalError: it stayed away for ``patience`` seconds.
    """
    deadline, pause, told = time.monotonic() + patience, FIRST_PAUSE_S, False
    while True:
        try:
            return call()
        except StorageInternalError:
            if time.monotonic() >= deadline:
                raise
            if not told:
                log.warning("the study's storage does not answer; waiting up to %.0f s for it", patience)
                told = True
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)
