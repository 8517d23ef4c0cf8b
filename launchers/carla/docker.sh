#!/usr/bin/env bash
# One CARLA 0.9.16 server in a Docker container without a window, in the foreground; Ctrl-C or SIGTERM ends and removes it.
# usage: [IMAGE=carlasim/carla:0.9.16] docker.sh [PORT] [GPU]   (PORT+1 and PORT+2 are used as well)
set -euo pipefail
# Host network: the ports are the machine's. --init: CarlaUE4.sh would ignore signals as a container's first process.
# "all" capabilities: by default a container may compute on the GPU, but not draw.
exec docker run --rm --init --network host --gpus all --env NVIDIA_DRIVER_CAPABILITIES=all \
  "${IMAGE:-carlasim/carla:0.9.16}" ./CarlaUE4.sh \
  "-carla-rpc-port=${1:-2000}" -RenderOffScreen -nosound -quality-level=Low "-graphicsadapter=${2:-0}"
