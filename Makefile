# setup: the environment   demo: the whole pipeline on a synthetic speaker
# check, test, quality: what CI runs   test-gpu: what only a machine with a CUDA card can test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: setup demo test test-gpu quality check build clean

setup: $(READY)

# basicsr comes as sources whose build asks for torch, numpy and cython: these are installed first,
# and builds use them instead of fetching them into an environment of their own.
$(READY): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip setuptools wheel
	$(PIP) torch torchvision numpy cython hatchling editables
	$(PIP) --no-build-isolation --editable . --group dev
	touch $@

demo: $(READY)
	$(BIN)/pirctl demo

test: $(READY)
	$(BIN)/python -m pytest

test-gpu: $(READY)
	$(BIN)/python -m pytest -m gpu

# Trains the demo's speaker, some minutes, and fails when it speaks too badly.
quality: $(READY)
	$(BIN)/python -m tests.quality

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

build: $(READY)
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	find pirctl tests -name __pycache__ -prune -exec rm -rf {} +
