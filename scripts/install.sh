#!/usr/bin/env bash
# Makes .venv and installs segtrain into it: install.sh PYTHON [EXTRAS], EXTRAS such as export,sweep
set -euo pipefail

"$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || {
    echo "segtrain needs Python 3.10 to 3.14, $1 is $("$1" -V); do: make install PYTHON=python3.11" >&2
    exit 2
}
echo "installing into .venv (about two minutes) ..."
"$1" -m venv .venv
# One command, so that torch and torchvision come as the pair that belongs together.
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev${2:+,$2}]"
# Only for comparing our dense CRF with it. It compiles C++; where that fails, nothing else needs it.
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[pydensecrf]' ||
    echo "pydensecrf2 does not build here: everything works but dense_crf.backend=pydensecrf and its tests" >&2
