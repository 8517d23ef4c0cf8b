#!/usr/bin/env bash
# One CARLA 0.9.16 server without a window, in the foreground.
# usage: server.sh /path/to/CarlaUE4.sh [PORT] [GPU]   (PORT+1 and PORT+2 are used as well)
set -euo pipefail
: "${1:?usage: server.sh /path/to/CarlaUE4.sh [PORT] [GPU]}"
exec "$1" "-carla-rpc-port=${2:-2000}" -RenderOffScreen -nosound -quality-level=Low "-graphicsadapter=${3:-0}"
