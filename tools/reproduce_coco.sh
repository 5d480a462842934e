#!/usr/bin/env bash
# The evidence that the embedded benches cannot give: student alone, KD, CTKD, and each of
# the two with BoxKD, on full COCO.
#   tools/reproduce_coco.sh [NUM_GPUS]        (default 8; SEEDS="0 1 2" METHODS="students kd ctkd")
# Checks the data, evaluates the teacher before anything else, trains each method with each seed,
# validating as it goes, and writes a report. Start it again after an interruption: finished
# trainings are not repeated, others resume. docs/evidence.md says what it costs.
set -euo pipefail
cd "$(dirname "$0")/.."
GPUS=${1:-8}
OUT=${OUT:-work_dirs/reproduce_coco}
PYTHON=${PYTHON:-python}
declare -A CONFIGS=(
    [students]=configs/students/faster-rcnn_r18_fpn_1x_coco.py
    [kd]=configs/kd/faster-rcnn_r18_fpn_kd-r101_1x_coco.py
    [ctkd]=configs/ctkd/faster-rcnn_r18_fpn_ctkd-r101_1x_coco.py
    [kd+boxkd]=configs/kd/faster-rcnn_r18_fpn_kd-boxkd-r101_1x_coco.py
    [ctkd+boxkd]=configs/ctkd/faster-rcnn_r18_fpn_ctkd-boxkd-r101_1x_coco.py)
METHODS=${METHODS:-students kd ctkd kd+boxkd ctkd+boxkd}
for method in $METHODS; do
    [ -n "${CONFIGS[$method]:-}" ] || {
        echo "no method $method; there are: ${!CONFIGS[*]}" >&2
        exit 2
    }
done
# 16 images a step in all, as the learning rate of MMDetection's 1x schedule wants it
BATCH=$((16 / GPUS))
[ $((BATCH * GPUS)) -eq 16 ] || { echo "NUM_GPUS must divide 16, got $GPUS" >&2; exit 2; }

for part in annotations/instances_train2017.json annotations/instances_val2017.json \
            train2017 val2017; do
    [ -e "data/coco/$part" ] || {
        echo "data/coco/$part is missing: get COCO 2017 from https://cocodataset.org/#download" >&2
        exit 1
    }
done

# A teacher that is not what it should be would cost days: 39.8 mAP is the model zoo's figure.
"$PYTHON" tools/benchmarks/check_teacher.py "${CONFIGS[ctkd]}" --at-least 0.393 \
    --work-dir "$OUT/teacher"

for seed in ${SEEDS:-0 1 2}; do
    for method in $METHODS; do
        run="$OUT/$method/seed_$seed"
        [ -e "$run/epoch_12.pth" ] || tools/dist_train.sh "${CONFIGS[$method]}" "$GPUS" \
            --work-dir "$run" --resume --cfg-options "randomness.seed=$seed" \
            "train_dataloader.batch_size=$BATCH"
    done
done
"$PYTHON" tools/analysis_tools/report.py "$OUT"/*/seed_* --out "$OUT/report.html"
