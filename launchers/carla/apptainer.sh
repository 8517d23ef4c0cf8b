#!/usr/bin/env bash
# One CARLA 0.9.16 server in an Apptainer container without a window, in the foreground.
# usage: [HOME_IN_IMAGE=/workspace] apptainer.sh carla.sif [PORT] [GPU]   (PORT+1 and PORT+2 are used as well)
set -euo pipefail
: "${1:?usage: apptainer.sh carla.sif [PORT] [GPU]}"
# --nv: the machine's NVIDIA driver. --cleanenv: a DISPLAY from outside would make the server look for a screen.
exec apptainer exec --nv --cleanenv --pwd "${HOME_IN_IMAGE:-/workspace}" "$1" ./CarlaUE4.sh \
  "-carla-rpc-port=${2:-2000}" -RenderOffScreen -nosound -quality-level=Low "-graphicsadapter=${3:-0}"
