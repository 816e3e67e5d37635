#!/usr/bin/env bash
# The main job: train on the embedded data, evaluate without and with the CRF, say what to do next.
set -euo pipefail

bin=.venv/bin
run=outputs/fcn8s_shapes/$(date +%Y-%m-%d_%H-%M-%S)
"$bin/segtrain" experiment=fcn8s_shapes crf=true hydra.run.dir="$run"
"$bin/python" scripts/summary.py "$run"
