"""td3sweep: TD3+CNN training for CARLA that says whether a run diverges or learns, and why.

What a program of one's own needs, each loaded when it is first asked for: ``from td3sweep import compose, train``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from td3sweep.config.compose import compose_settings as compose
    from td3sweep.doctor import audit
    from td3sweep.monitor.stable_baselines3 import DivergenceMonitor
    from td3sweep.monitor.verdict import Monitor
    from td3sweep.monitor.watch import Watch
    from td3sweep.training.callbacks import Callback
    from td3sweep.training.run import run as train

__version__ = "0.1.0"
__all__ = ["Callback", "DivergenceMonitor", "Monitor", "Watch", "audit", "compose", "train"]
_PLACES = {
    "Callback": "training.callbacks:Callback",
    "DivergenceMonitor": "monitor.stable_baselines3:DivergenceMonitor",
    "Monitor": "monitor.verdict:Monitor",
    "Watch": "monitor.watch:Watch",
    "audit": "doctor:audit",
    "compose": "config.compose:compose_settings",
    "train": "training.run:run",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)
