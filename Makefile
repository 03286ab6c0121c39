# `make` lists the targets. Each does its own set-up: a fresh clone needs nothing but Python and make.
PYTHON ?= $(firstword $(foreach v,python3.11 python3.12 python3,$(if $(shell command -v $(v)),$(v))))
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format bench lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 13); sys.exit(None if ok else "Python 3.11 or 3.12 is needed; type: make PYTHON=python3.11 ...")'
	@bash .ci/system-libraries
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

setup: $(READY)  ## create .venv with the pinned dependencies

demo: $(READY)  ## raw meshes in, a scored leaderboard out, in under ten minutes (writes demo/)
	$(BIN)/python -m benchmarks.demo

test: $(READY)  ## the whole quick test suite
	$(BIN)/python -m pytest -m "not slow"

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
	@grep -H -m1 '^"""' benchmarks/*.py | sed -E 's/^([^:]+)\.py:"""(.*)$$/\1\t\2/; s/"""//; s,/,.,' | sed 's/^/python -m /' | expand -t 44

lock: $(READY)  ## rewrite requirements.lock from .venv
	@{ head -2 requirements.lock; $(BIN)/pip freeze --exclude-editable | sed 's/+cpu//'; } > requirements.lock.tmp
	@mv requirements.lock.tmp requirements.lock

clean:  ## remove what the targets made
	rm -rf .venv demo .pytest_cache .ruff_cache .mypy_cache .hypothesis *.egg-info
