#!/usr/bin/env bash
# The main job: train on the embedded data, evaluate without and with the CRF, say what to do next.
set -euo pipefail

bin=.venv/bin
run=outputs/fcn8s_shapes/$(date +%Y-%m-%d_%H-%M-%S)
crf=false
"$bin/python" -c 'import pydensecrf' 2>/dev/null && crf=true
"$bin/segtrain" experiment=fcn8s_shapes crf=$crf hydra.run.dir="$run"
"$bin/python" scripts/summary.py "$run"
