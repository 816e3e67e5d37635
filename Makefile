# `make train` and `make test` are all that a fresh machine needs; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install train test test-all test-gpu test-browser test-slurm stress lint format
.PHONY: bench bench-gpu bench-crf bench-data bench-eval
.PHONY: reproduce-gpu pack-gpu docs clean

help: ## lists these commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

install: $(STAMP) ## makes .venv and installs segtrain in it; EXTRAS=export,sweep adds extras
ifdef EXTRAS
	@bash scripts/install.sh "$(PYTHON)" "$(EXTRAS)"
endif

$(STAMP): pyproject.toml
	@bash scripts/install.sh "$(PYTHON)"
	@touch $@

train: $(STAMP) ## trains FCN-8s on the embedded data and evaluates it without and with the CRF
	@bash scripts/train.sh

test: lint ## the tests and `make lint`, under ten minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not gpu and not browser and not slurm"

test-all: $(STAMP) ## also the slow ones, those that need a GPU, and those on real data in SEGTRAIN_DATA
	$(BIN)/python -m pytest

stress: $(STAMP) ## every promise about reliability at full count, as a table: kills, damage, hostile files, ...
	OMP_NUM_THREADS=1 $(BIN)/python -m scripts.stress

test-gpu: $(STAMP) ## the tests marked gpu, on one GPU, in under five minutes; says what was skipped
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "gpu and not browser and not slurm" -n 4 -rs

test-browser: $(STAMP) ## the tests of pages in a real browser, Debian's chromium
	$(BIN)/python -m pytest -m "browser and not slow" -rs

test-slurm: $(STAMP) ## the tests marked slurm, as root on Debian: installs slurm-wlm and starts a Slurm of its own
	$(BIN)/python -m pip install --quiet --editable '.[sweep]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm -rs -n 0
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cli/test_sweeps.py -n 0

lint: $(STAMP) ## checks style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## speed and memory beside other tools, as one table (half an hour; SEGTRAIN_DATA for CamVid)
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python scripts/bench/table.py

bench-gpu: $(STAMP) ## training, evaluation, the CRF and agreement with the CPU on one GPU, in six minutes
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python scripts/bench/gpu.py

reproduce-gpu: $(STAMP) ## FC-DenseNet56 and U-Net on CamVid, as far as eight minutes of a GPU go (paper: 58.9)
	$(BIN)/python scripts/gpu/reproduce.py "$(SEGTRAIN_DATA)/camvid"

pack-gpu: $(STAMP) ## all of that for a machine without network, into gpu_pack/; there: bash scripts/gpu/run.sh
	bash scripts/gpu/pack.sh

bench-crf: $(STAMP) ## the dense CRF against pydensecrf
	$(BIN)/python scripts/bench/table.py crf

bench-data: $(STAMP) ## what a loader's worker spends beyond decoding, beside three other tools
	$(BIN)/python scripts/bench/table.py augmenting

bench-eval: $(STAMP) ## the confusion matrix, and upsampling with argmax, against what others do
	$(BIN)/python scripts/bench/table.py labels

docs: $(STAMP) ## the documentation as a site in build/site, every link checked
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m scripts.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

clean: ## removes .venv and the caches; runs below outputs/ stay
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache
