#!/usr/bin/env bash
# Test on several processes of one or more machines.
#   tools/dist_test.sh CONFIG CHECKPOINT NUM_PROCESSES [options of tools/test.py]
# For several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
: "${3:?usage: tools/dist_test.sh CONFIG CHECKPOINT NUM_PROCESSES [options]}"
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" torchrun \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
