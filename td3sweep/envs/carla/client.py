"""The door to the `carla` wheel: import it safely, connect, and refuse a server of another version."""

import os
import re
from types import ModuleType
from typing import Any

from td3sweep.errors import SimulatorError, UserError


def load_carla() -> ModuleType:
    """Import the `carla` wheel on first use.

    Raises:
        UserError: HOME is unset (the wheel would crash the process), or no wheel is installed.
    """
    if not os.environ.get("HOME"):
        raise UserError("HOME is unset: the carla wheel crashes without it; set it, for example HOME=/tmp")
    try:
        import carla
    except ImportError as error:
        raise UserError(
            "env=carla needs the carla wheel (Linux/Windows x86-64, Python 3.10-3.12): "
            f"{error}; use env=gym, or such a Python and `pip install carla==0.9.16`"
        ) from error
    module: ModuleType = carla
    return module


def connect(carla: ModuleType, host: str, port: int, timeout: float) -> Any:
    """A client whose server has answered and speaks the wheel's version.

    A client never reconnects, so every attempt (and every recovery) needs a new one. One worker thread
    keeps sensor callbacks in the order in which the server wrote them.

    Raises:
        SimulatorError: no answer within `timeout` seconds.
        UserError: the server is of another version.
    """
    client = carla.Client(host, port, 1)
    client.set_timeout(timeout)
    try:
        server_version = client.get_server_version()
    except RuntimeError as error:
        raise SimulatorError(
            f"no CARLA server answered at {host}:{port} within {timeout:g} s: {error}", "start"
        ) from error
    check_versions(client.get_client_version(), server_version)
    return client


def check_versions(client: str, server: str) -> None:
    """Refuse a server whose release differs from the wheel's (the wheel itself only warns).

    Raises:
        UserError: the releases differ; 0.10 is named as the other protocol that it is.
    """
    if _release(client) == _release(server):
        return
    if _release(server)[:2] == (0, 10):
        raise UserError(
            f"the server is CARLA {server} (Unreal Engine 5), which speaks another protocol; "
            f"start a {client} server instead (env.path, or env.host and env.port)"
        )
    raise UserError(
        f"the server is CARLA {server} but the installed wheel is {client}; start a {client} server "
        "or install the wheel of the server's version"
    )


def _release(version: str) -> tuple[int, ...]:
    """`0.9.16-3-gabc` and `0.9.16 (stand-in)` are both release (0, 9, 16)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
