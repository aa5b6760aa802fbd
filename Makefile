# `make test` sets up .venv, pinned by constraints.txt, and checks everything. CI runs the same.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: setup lint test
setup: .venv/installed

.venv/installed: pyproject.toml runtimes/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e runtimes/python -e '.[dev,tensorrt-rtx]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest
