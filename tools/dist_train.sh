#!/usr/bin/env bash
# Train on several processes of one or more machines.
#   tools/dist_train.sh CONFIG NUM_PROCESSES [options of tools/train.py]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
: "${2:?usage: tools/dist_train.sh CONFIG NUM_PROCESSES [options]}"
CONFIG=$1
GPUS=$2
PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
