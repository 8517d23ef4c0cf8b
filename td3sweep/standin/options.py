"""The command line, spelt like CarlaUE4.sh's: ``-name`` and ``-name=value``, in any case."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from td3sweep.standin.faults import Faults
from td3sweep.standin.maps import DEFAULT_MAP, MAP_NAMES

DEFAULT_PORT = 2000
HELP = f"""\
usage: python -m td3sweep.standin [-carla-rpc-port=N] [flags of CarlaUE4.sh]

A stand-in for the CARLA 0.9.16 server: speaks its protocol, simulates a toy world.
Scores obtained on it are not CARLA results.

  -carla-rpc-port=N            port of the calls (2000)
  -carla-streaming-port=N      port of the sensor data (RPC port + 1)
  -carla-host=ADDRESS          address to listen on (127.0.0.1)
  -map=NAME                    first map: {", ".join(MAP_NAMES)} ({DEFAULT_MAP})
  -fault-slow-load=SECONDS     faults for tests: loading a map takes that long
  -fault-slow-tick=SECONDS     every tick takes that much longer, as a real simulator's does
  -fault-hang-after=TICKS      answer nothing after so many ticks
  -fault-crash-after=TICKS     die after so many ticks
  -fault-drop-frame-every=N    every Nth camera frame is lost
  -fault-late-frame-every=N    every Nth camera frame comes one tick late
  -fault-garble-frame-every=N  every Nth camera frame is twenty bytes of rubbish
  -fault-die-at-start          die before listening
  -fault-count-driven          count the ticks that a client asks for only
  -fault-stamp-frames          no fault: each picture bears its frame number and the camera's place
"""

IGNORED = frozenset(
    {
        *(
            "benchmark",
            "fps",
            "quality-level",
            "renderoffscreen",
            "nullrhi",
            "nosound",
            "sound",
            "unattended",
        ),
        *(
            "carla-server",
            "carla-settings",
            "carla-primary-host",
            "carla-primary-port",
            "carla-secondary-port",
        ),
        *("fullscreen", "windowed", "resx", "resy", "ros2", "world-port"),
        *("dx11", "opengl", "opengl4", "vulkan", "prefernvidia", "graphicsadapter"),
    }
)
"""Flags of the real program that mean nothing here."""


class OptionError(Exception):
    """A flag whose value cannot be used."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    rpc_port: int = DEFAULT_PORT
    stream_port: int = DEFAULT_PORT + 1
    host: str = "127.0.0.1"
    map_name: str = DEFAULT_MAP
    help: bool = False
    faults: Faults = field(default_factory=Faults)


def parse(arguments: Sequence[str]) -> Options:
    """Read the flags; unknown ones are reported on stderr. Raises OptionError."""
    values: dict[str, Any] = {}
    faults: dict[str, Any] = {}
    kinds = {"fault-" + f.name.replace("_", "-"): (f.name, type(f.default)) for f in fields(Faults)}
    for argument in arguments:
        name, _, value = argument.lstrip("-").partition("=")
        name = name.lower()
        if name == "carla-rpc-port":
            values["rpc_port"] = _number(argument, value, 1, 65533)
        elif name == "carla-streaming-port":
            values["stream_port"] = _number(argument, value, 1, 65535)
        elif name == "carla-host":
            values["host"] = value
        elif name == "map":
            values["map_name"] = _map(argument, value)
        elif name in ("help", "h"):
            values["help"] = True
        elif name in kinds:
            key, kind = kinds[name]
            faults[key] = True if kind is bool else _amount(argument, value, kind)
        elif name not in IGNORED:
            print(f"stand-in: ignoring unknown flag {argument}", file=sys.stderr)
    values.setdefault("stream_port", values.get("rpc_port", DEFAULT_PORT) + 1)
    return Options(**values, faults=Faults(**faults))


def _number(argument: str, value: str, low: int, high: int) -> int:
    if not value.isdecimal() or not low <= int(value) <= high:
        raise OptionError(f"{argument}: give a whole number from {low} to {high}")
    return int(value)


def _amount(argument: str, value: str, kind: type) -> Any:
    try:
        amount = kind(value)
    except ValueError as error:
        raise OptionError(f"{argument}: give a number") from error
    if not 0 <= amount < 1e9:
        raise OptionError(f"{argument}: give a number from 0 to 1e9")
    return amount


def _map(argument: str, value: str) -> str:
    if value not in MAP_NAMES:
        raise OptionError(f"{argument}: choose one of {', '.join(MAP_NAMES)}")
    return value
