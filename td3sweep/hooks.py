"""Former place of the hooks: ``from td3sweep import DivergenceMonitor, Watch`` is the present one."""

import warnings
from typing import Any

import td3sweep


def __getattr__(name: str) -> Any:
    if name not in ("DivergenceMonitor", "Watch"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"use `from td3sweep import {name}`", DeprecationWarning, stacklevel=2)
    return getattr(td3sweep, name)
