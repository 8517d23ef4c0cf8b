#!/usr/bin/env bash
# One CARLA server per GPU, each on a block of four ports of its own, until all have ended or this script is ended.
# usage: [FIRST_PORT=2000] per_gpu.sh GPU[,GPU...] SCRIPT [ARGUMENT...]
#   per_gpu.sh 0,1 launchers/carla/server.sh /opt/carla/CarlaUE4.sh     GPU 0: port 2000; GPU 1: port 2004
#   per_gpu.sh 0,1 launchers/carla/docker.sh
#   per_gpu.sh 0,1 launchers/carla/apptainer.sh carla.sif
# SCRIPT is run as SCRIPT ARGUMENT... PORT GPU; its output goes to carla-PORT.log here.
set -euo pipefail
: "${2:?usage: per_gpu.sh GPU[,GPU...] SCRIPT [ARGUMENT...]}"
IFS=, read -ra gpus <<<"$1"
shift
command=("$@")
port=${FIRST_PORT:-2000}

serve() { # PORT GPU: run one server and tell of its end
  local code=0
  "${command[@]}" "$1" "$2" >"carla-$1.log" 2>&1 || code=$?
  echo "the server on port $1 ended with exit code $code: see carla-$1.log" >&2
}

stop() { # SIGTERM to the group of each server that still runs, SIGKILL to what is left of it after 15 s
  local server servers tries
  mapfile -t servers < <(jobs -pr)
  for server in "${servers[@]}"; do kill -TERM -- "-$server" 2>/dev/null || true; done
  for server in "${servers[@]}"; do
    for ((tries = 0; tries < 75; tries++)); do
      kill -0 -- "-$server" 2>/dev/null || continue 2
      sleep 0.2
    done
    kill -KILL -- "-$server" 2>/dev/null || true
  done
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

set -m # a process group for each: CarlaUE4.sh is a shell whose child is the server
for gpu in "${gpus[@]}"; do
  serve "$port" "$gpu" &
  echo "GPU $gpu: port $port, output in carla-$port.log"
  port=$((port + 4))
done
wait
