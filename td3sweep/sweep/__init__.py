"""Sweeps: ``frame(directory)`` gives the results of one as a data frame."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "frame":  # late: a worker has no need of it
        from td3sweep.sweep.results import frame

        return frame
    raise AttributeError(name)
