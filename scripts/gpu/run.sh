#!/usr/bin/env bash
# All that is to be known of a GPU, on a machine without network, from the folder that pack.sh made: the tests
# marked gpu, the benchmark, a training on CamVid. Each has its own limit, keeps what it has when that is over,
# and leaves the others. Where a call has ten minutes and all calls have fifteen:
#   bash scripts/gpu/run.sh test bench      then, with a second folder:      bash scripts/gpu/run.sh reproduce
#   python scripts/gpu/results.py collect FIRST_OUT SECOND_OUT      makes one gpu.json of both
# PACK (gpu_pack) is that folder; OUT (gpu_out) gets gpu.log, gpu.json, its tables gpu.md, and curves; PYTHON
# (python3) has torch. CAMVID is another data set than the folder's. TEST_SECONDS, BENCH_SECONDS and
# REPRODUCE_SECONDS are the limits, LIMIT that of the whole call. DEVICE=cpu tries all with tiny sizes.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
pack=${PACK:-gpu_pack}
out=${OUT:-gpu_out}
device=${DEVICE:-cuda}
limit=${LIMIT:-570}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(test bench reproduce)
tiny=()
[ "$device" = cuda ] || tiny=(--tiny)
[ "$device" = cuda ] || export SEGTRAIN_TEST_DEVICE=cpu:0
mkdir -p "$out"
work=$(mktemp -d)
exec > >(trap '' INT TERM; exec tee -a "$out/gpu.log") 2>&1
log=$!
child='' # of the part that runs, and the signal that ends it
signal=TERM
ended=()

collect() {
    "$python" scripts/gpu/results.py collect "$out" --ended "${ended[@]}" > "$work/gpu.md" && cp "$work/gpu.md" "$out"
}
leave() { # waits until the log is written
    [ ! -f "$out/gpu.md" ] || cat "$out/gpu.md"
    exec >&- 2>&-
    wait "$log"
    exit "$1"
}
stop() {
    trap '' INT TERM
    [ -z "$child" ] || { kill "-$signal" "$child" && wait "$child"; }
    cp "$work"/*.json "$work"/*.png "$out" 2> /dev/null
    ended+=("${part:-start}=stopped")
    collect
    leave 143
}
trap stop INT TERM

# run_part SECONDS SIGNAL COMMAND ...: in the background, for else a signal to this script is noticed afterwards
run_part() {
    local seconds=$1 left=$((limit - SECONDS - 20)) start=$SECONDS
    [ "$seconds" -lt "$left" ] || seconds=$left
    if [ "$seconds" -lt 30 ]; then
        echo "── $part is left out: LIMIT=$limit is over"
        ended+=("$part=left out")
        return
    fi
    echo "── $part, $(date -u +%H:%M:%S), at most $seconds s"
    export PART_SECONDS=$seconds
    signal=$2
    timeout -k 15 -s "$signal" "$seconds" "${@:3}" &
    child=$!
    wait "$child"
    local code=$?
    child=''
    echo "── $part left with $code after $((SECONDS - start)) s"
    ended+=("$part=$code after $((SECONDS - start)) s")
}

# Not a virtual environment: one made by a virtual environment's Python would not see that one's packages.
"$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$work/site" "$pack"/wheels/*.whl ||
    leave 1
export PYTHONPATH="$PWD/src:$PWD:$work/site" NO_ALBUMENTATIONS_UPDATE=1 PYTHONUNBUFFERED=1
command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv

for part in "${parts[@]}"; do
    case $part in
        test) # SIGINT, at which pytest still says what it has seen
            OMP_NUM_THREADS=1 run_part "${TEST_SECONDS:-190}" INT "$python" -m pytest \
                -m "gpu and not browser and not slurm" -n "${JOBS:-8}" -rs --durations=10 -p no:cacheprovider \
                -o faulthandler_timeout=90 -W "ignore::pytest.PytestUnknownMarkWarning" \
                --junitxml="$out/tests.xml"
            ;;
        bench)
            run_part "${BENCH_SECONDS:-260}" TERM "$python" scripts/bench/gpu.py --device "$device" "${tiny[@]}" \
                --json "$out/bench.json"
            ;;
        reproduce)
            data=${CAMVID:-$pack/camvid}
            [ -d "$data" ] || data=${SEGTRAIN_DATA:-}/camvid
            if [ "$device" != cuda ]; then # a CPU validates few images
                "$python" scripts/gpu/as_jpeg.py "$data" "$work/camvid" --most 4 && data=$work/camvid
            fi
            run_part "${REPRODUCE_SECONDS:-320}" TERM "$python" scripts/gpu/reproduce.py "$data" \
                --device "$device" "${tiny[@]}" --out "$work"
            cp "$work"/*.json "$work"/*.png "$out" 2> /dev/null
            ;;
        *) echo "no such part: $part" ;;
    esac
    collect
done
leave 0
