# `make` lists the targets. Each does its own set-up: a fresh clone needs nothing but Python and make.
# The first of these that runs: a name that a version manager offers may stand for nothing.
PYTHON ?= $(firstword $(foreach v,python3.11 python3.12 python3.13 python3,$(if $(shell $(v) -c 'print(1)' 2>/dev/null),$(v))))
BIN := .venv/bin
# How many test files run at a time. Not one for every core: each may use 2 GB, and cores of its own.
JOBS ?= 2
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo taste test test-slow lint format bench docs wheel lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml requirements.lock requirements-torch.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(None if ok else "Python 3.11, 3.12 or 3.13 is needed; type: make PYTHON=python3.11 ...")'
	@bash .ci/system-libraries
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup: $(READY)  ## create .venv with the pinned dependencies

demo: $(READY)  ## raw meshes in, a scored leaderboard out, in about ten minutes (writes demo/)
	$(BIN)/python -m benchmarks.demo

taste: $(READY)  ## after the demo: train a model on its shapes for a minute (writes demo/taste)
	$(BIN)/dora-vae train --preset tiny --data demo/prep/samples --out demo/taste --set minutes=1 --set eps=2/128

test: $(READY)  ## the whole quick test suite, two files at a time (JOBS=1: one)
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(READY)  ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## list the benchmarks; each is one command
	@grep -H -m1 '^"""' benchmarks/*.py benchmarks/*/*.py | grep -v __init__ | sed -E 's/^([^:]+)\.py:"""(.*)$$/\1\t\2/; s/"""//; s,/,.,g' | sed 's/^/python -m /' | expand -t 44

docs: $(READY)  ## the API reference and the guides as one static site, in site/docs/
	$(BIN)/python docs/build_site.py site/docs

wheel: $(READY)  ## dist/*.whl
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w dist .

# torch and what its CUDA build brings have other hashes at each index: requirements-torch.txt.
UNLOCKED := torch triton $(addprefix cuda-,toolkit bindings pathfinder) $(addprefix nvidia-,cublas \
  cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 \
  nccl-cu13 nvjitlink nvshmem-cu13 nvtx)

lock: $(READY)  ## pin again what pyproject.toml asks for, with hashes (UPGRADE=--upgrade for newer)
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml -c requirements-torch.txt --quiet --extra dev --extra docs --universal $(UPGRADE) \
	  --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  $(addprefix --no-emit-package ,$(UNLOCKED)) -o requirements.lock

clean:  ## remove what the targets made
	rm -rf .venv demo site dist build .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
