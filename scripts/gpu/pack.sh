#!/usr/bin/env bash
# Packs what a machine with a GPU and no network needs into a folder that git ignores: wheels for Python 3.12,
# the sources, and CamVid as JPEG where SEGTRAIN_DATA names it. Then, there: bash scripts/gpu/run.sh
#   bash scripts/gpu/pack.sh [FOLDER]
# PYTHON runs pip and the project; PYTHON312, if there is one, compiles pydensecrf2 to compare the CRF with.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-gpu_pack}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$folder/wheels"

platforms=()
for tag in 2_28 2_27 2_26 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${tag}_x86_64"); done
platforms+=(--platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64)
"$python" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    "${platforms[@]}" --dest "$folder/wheels" --requirement scripts/gpu/packages.txt
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$folder/wheels" antlr4-python3-runtime==4.9.3
if [ -n "${PYTHON312:-}" ]; then
    "$PYTHON312" -m pip wheel --quiet --no-deps --wheel-dir "$folder/wheels" pydensecrf2==1.1 ||
        echo "no pydensecrf2: the CRF is compared with our own on the CPU alone"
fi

git archive --format=tar.gz --output="$folder/sources.tar.gz" HEAD
if [ -d "${SEGTRAIN_DATA:-}/camvid" ] && [ ! -d "$folder/camvid" ]; then
    "$python" scripts/gpu/as_jpeg.py "$SEGTRAIN_DATA/camvid" "$folder/camvid"
fi
du -sh "$folder" "$folder"/* # 64 MiB are what fits into a lent machine
