#!/usr/bin/env bash
# All that is to be known of a GPU, on a machine without network, from the folder that pack.sh made: the tests
# marked gpu, the benchmark, a training on CamVid. Each has its own limit and leaves the others.
#   bash scripts/gpu/run.sh [PART ...]      PART: test bench reproduce; all if none is given
# PACK (gpu_pack) is that folder; OUT (gpu_out) gets gpu.log, gpu.json and curves; PYTHON (python3) has torch.
# CAMVID is another data set than the folder's. TEST_SECONDS, BENCH_SECONDS and REPRODUCE_SECONDS are the
# limits. DEVICE=cpu tries everything with tiny sizes.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}
pack=${PACK:-gpu_pack}
out=${OUT:-gpu_out}
device=${DEVICE:-cuda}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(test bench reproduce)
test_seconds=${TEST_SECONDS:-240}
bench_seconds=${BENCH_SECONDS:-300}
reproduce_seconds=${REPRODUCE_SECONDS:-330}
tiny=()
[ "$device" = cuda ] || tiny=(--tiny)
mkdir -p "$out"
exec > >(tee -a "$out/gpu.log") 2>&1

# Not a virtual environment: one made by a virtual environment's Python would not see that one's packages.
site=$(mktemp -d)
"$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$pack"/wheels/*.whl ||
    exit 1
export PYTHONPATH="$PWD/src:$PWD:$site" NO_ALBUMENTATIONS_UPDATE=1 PYTHONUNBUFFERED=1
command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv

begin() { echo "── $1, $(date -u +%H:%M:%S), at most $2 s"; }
for part in "${parts[@]}"; do
    case $part in
        test)
            begin test "$test_seconds"
            marks=(-m "gpu and not browser and not slurm")
            # Without a GPU every one of them is skipped; a few that need none show that they run.
            [ "$device" = cuda ] || marks=(tests/engine/test_step.py tests/engine/test_train.py -k "step or seed")
            timeout -k 10 "$test_seconds" "$python" -m pytest "${marks[@]}" -n "${JOBS:-6}" -rs --durations=10 \
                -p no:cacheprovider -W "ignore::pytest.PytestUnknownMarkWarning" --junitxml="$out/tests.xml"
            echo "test left with $?"
            ;;
        bench)
            begin bench "$bench_seconds"
            minutes=$(("$bench_seconds" - 60))
            timeout -k 10 "$bench_seconds" "$python" scripts/bench/gpu.py --device "$device" "${tiny[@]}" \
                --minutes "$("$python" -c "print($minutes / 60)")" --json "$out/bench.json"
            echo "bench left with $?"
            ;;
        reproduce)
            begin reproduce "$reproduce_seconds"
            data=${CAMVID:-$pack/camvid}
            [ -d "$data" ] || data=${SEGTRAIN_DATA:-}/camvid
            work=$(mktemp -d)
            timeout -k 10 "$reproduce_seconds" "$python" scripts/gpu/reproduce.py "$data" --device "$device" \
                "${tiny[@]}" --minutes "$("$python" -c "print($reproduce_seconds / 60)")" --out "$work"
            echo "reproduce left with $?"
            cp "$work"/*.json "$work"/*.png "$out" 2> /dev/null
            ;;
        *) echo "no such part: $part" ;;
    esac
    "$python" scripts/gpu/results.py collect "$out" > "$out/gpu.md"
done
cat "$out/gpu.md"
