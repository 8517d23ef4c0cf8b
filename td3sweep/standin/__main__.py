"""``python -m td3sweep.standin``: listen, say so, serve."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence

for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")  # before numpy starts threads it would never use here

from td3sweep.standin.faults import FaultInjector  # noqa: E402
from td3sweep.standin.options import HELP, OptionError, Options, parse  # noqa: E402
from td3sweep.standin.server import StandinServer  # noqa: E402
from td3sweep.standin.world import World  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    try:
        options = parse(arguments)
    except OptionError as error:
        print(f"stand-in: {error}", file=sys.stderr)
        return 1
    if options.help:
        print(HELP, end="")
        return 0
    signal.signal(signal.SIGTERM, _leave)
    faults = FaultInjector(options.faults)
    faults.starting()
    try:
        sockets = _listen(options)
    except OSError as error:
        ports = f"{options.host}:{options.rpc_port} and {options.stream_port}"
        print(f"stand-in: cannot listen on {ports}: {error.strerror}", file=sys.stderr)
        return 1
    server = StandinServer(World(options.map_name, options.stream_port), *sockets, faults)
    where = f"{options.host}:{options.rpc_port}"
    print(f"td3sweep stand-in for CARLA 0.9.16 (not CARLA) listening on {where}", flush=True)
    try:
        server.serve()
    except KeyboardInterrupt:
        return 130
    return 0


def _listen(options: Options) -> tuple[socket.socket, socket.socket]:
    rpc = socket.create_server((options.host, options.rpc_port), backlog=64)
    try:
        return rpc, socket.create_server((options.host, options.stream_port), backlog=64)
    except OSError:
        rpc.close()
        raise


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
