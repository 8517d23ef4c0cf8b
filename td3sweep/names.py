"""Every closed set of words that a setting chooses from, once: what YAML, ``--help``, a type check and a builder share.

Adding an option begins here; ``mypy`` then names the builder (a ``match``) that must know what the new word means.
"""

from typing import Any, Literal, get_args

CnnName = Literal["nature", "pooled"]
MemoryKind = Literal["none", "gru", "lstm"]
FeatureNorm = Literal["none", "layernorm"]
Augmentation = Literal["none", "shift4"]
Loss = Literal["mse", "huber"]
TargetName = Literal["td3", "mpg"]
DeltaInit = Literal["zero", "first_batch"]
DeltaState = Literal["raw", "ema"]
ReplayName = Literal["uniform", "per", "lap"]
ClipKind = Literal["joint", "per_module", "value", "off"]
Wiring = Literal["separate", "critic_only", "crossed"]
DemonstratorName = Literal["none", "pid", "autopilot", "recorded"]
Fault = Literal["none", "h1", "h2", "h3", "h4", "h5", "h6", "sum_of_norms", "stale_target", "lr_x100", "frozen_encoder"]

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16"]
AskedPrecision = Literal["auto", "fp32", "bf16"]
Resume = Literal["last"]

EnvName = Literal["carla", "gym"]
ServerMode = Literal["standin", "launch", "command", "connect"]
VectorKind = Literal["full", "no_waypoints", "speed"]

TrackingName = Literal["offline", "wandb", "off"]
MonitorName = Literal["warn", "stop", "off"]
SamplerName = Literal["tpe", "random", "gp", "cmaes", "qmc", "grid"]
PrunerName = Literal["none", "median", "hyperband", "patient", "wilcoxon"]


def words_of(annotation: Any) -> tuple[str, ...]:
    """The words of a ``Literal``, alone or beside None in a union; of any other annotation none."""
    arguments = get_args(annotation)
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return arguments
    return tuple(word for argument in arguments for word in words_of(argument))
