#!/usr/bin/env bash
# Everything that is to be known of a GPU, in about ten minutes: bash benchmarks/gpu.sh RAW OUT
# RAW is the folder of radiographs (as dataset/), OUT gets a table a part and all of them as report.md. Each part has a limit of
# time; one that fails or is cut says so, and the others go on. DRY=1 runs every part on the processor in miniature.
set -uo pipefail
cd "$(dirname "$0")/.."
RAW=$(realpath "${1:?the folder of radiographs}")
OUT=${2:-result/gpu}
PYTHON=${PYTHON:-python}
mkdir -p "$OUT"
OUT=$(realpath "$OUT")
REPORT=$OUT/report.md
FAILED=0
DATA=$OUT/processed
WEIGHTS=$PWD/weights/scn_hand.pt

if [ "${DRY:-0}" = 1 ]; then
    export CUDA_VISIBLE_DEVICES=""
    PATIENCE=20 # a processor may be busy with other things
    SIZES=64 BATCHES="2" LOADS=2 COPIES=3 PROCESSES="1 2" REPEATS=1 CHANNELS=8 DEVICE=cpu
    TRAIN="--init '' --channels 8 --levels 3 --spatial_kernel 5 --stages 64x2" PREPARE="--size 64" TESTS="tests/test_loss.py -n 1"
else
    PATIENCE=1
    SIZES="64 128 256" BATCHES="2 4 8 16 32" LOADS="1 2 4 8 16 32 64" COPIES=2000 PROCESSES="1 2 4 8" REPEATS=5 CHANNELS=64 DEVICE=cuda
    TRAIN="" PREPARE="" TESTS="tests"
fi

part() { # TITLE SECONDS COMMAND: its output as a part of the report
    echo "## $1" | tee -a "$REPORT"
    printf '\n```\n' >> "$REPORT"
    local start=$SECONDS
    timeout $(($2 * PATIENCE)) bash -c "$3" 2>&1 | tr '\r' '\n' | tail -n 60 | tee -a "$REPORT"
    local status=${PIPESTATUS[0]}
    printf '```\n\n' >> "$REPORT"
    echo "$((SECONDS - start)) s, status $status" | tee -a "$REPORT"
    if [ "$status" != 0 ]; then
        echo "**This part failed or was cut.**" | tee -a "$REPORT"
        FAILED=$((FAILED + 1))
    fi
    echo >> "$REPORT"
}

printf '# Measured on %s\n\n' "$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -n 1 || true)" > "$REPORT"
part "Machine" 30 "nvidia-smi || true; nproc; $PYTHON -c 'import sys, torch; print(sys.version, torch.__version__, torch.version.cuda)'"
part "Preparation" 120 "$PYTHON data_preprocessing.py --raw '$RAW' --out '$DATA' $PREPARE"
part "Default training from prepared data (aim: test at most 1.01 px in 60 s)" 150 \
    "time $PYTHON main.py --data '$DATA' --result '$OUT/run' $TRAIN | tail -n 12"
for batch in $BATCHES; do
    part "A training step against this machine's convolution, batches of $batch" 60 \
        "$PYTHON -m benchmarks.step --sizes $SIZES --batch $batch --repeats $REPEATS --channels $CHANNELS"
done
part "The network alone, and with what comes before and after (aim: 300 radiographs a second)" 60 \
    "$PYTHON -m benchmarks.inference --weights '$WEIGHTS' --batches $LOADS --repeats $REPEATS"

# The radiographs again and again, as links; how many a second, and whether several processes write the bytes of one.
rm -rf "$OUT/files" "$OUT"/predicted*
mkdir -p "$OUT/files"
count=0
while [ $count -lt "$COPIES" ]; do
    for file in "$RAW"/train/*.*; do
        [ -e "$file" ] || { echo "$RAW/train: expected radiographs, found none" >&2; exit 1; }
        [ $count -lt "$COPIES" ] && ln -sf "$file" "$OUT/files/$(printf '%06d' $count).${file##*.}" && count=$((count + 1))
    done
done
for processes in $PROCESSES; do
    part "predict.py on $COPIES files, $processes processes (aim: 100 a second)" 150 \
        "set -e; time $PYTHON -m torch.distributed.run --nproc-per-node=$processes predict.py '$OUT/files' --weights '$WEIGHTS' \
        --device $DEVICE --out '$OUT/predicted$processes'; [ $processes = 1 ] || $PYTHON predict.py --merge --out '$OUT/predicted$processes'"
done
first=${PROCESSES%% *}
for processes in $PROCESSES; do
    part "$processes processes against $first" 10 \
        "cmp '$OUT/predicted$first/landmarks.csv' '$OUT/predicted$processes/landmarks.csv' && echo the same bytes"
done

part "Resuming with --deterministic" 120 "set -e
run=\"$PYTHON main.py --data '$DATA' --deterministic --stages 64x4 ${TRAIN/64x2/64x4}\"
eval \$run --result '$OUT/whole' > /dev/null
eval \$run --result '$OUT/cut' > /dev/null & process=\$!
until [ -e '$OUT/cut/last.pt' ] || ! kill -0 \$process; do sleep 0.1; done
kill -INT \$process || true; wait \$process || true
eval \$run --result '$OUT/cut' --resume > /dev/null
cmp '$OUT/whole/test_landmarks.csv' '$OUT/cut/test_landmarks.csv' && echo the same landmarks to the last digit"
part "The test suite" 240 "HAND_ATLAS='$RAW' $PYTHON -m pytest -q $TESTS"
echo "report: $REPORT; parts that failed or were cut: $FAILED"
exit $((FAILED > 0))
