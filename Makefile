# `make demo` exports the built-in model and asks the bundle about two e-mails; `make test` checks everything, as CI does.
# Both set up .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN = .venv/bin
MAILS = examples/emails

.PHONY: setup demo lint test bench golden
setup: .venv/installed

.venv/installed: pyproject.toml runtimes/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e runtimes/python -e '.[dev,tensorrt-rtx]'
	touch $@

demo: setup
	$(BIN)/fnet-export --task sequence-classification --target tensorrt --output bundle --force
	$(BIN)/fnet-run bundle --runtime onnxruntime --file $(MAILS)/ham.txt --file $(MAILS)/spam.txt

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest

bench: setup
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/peers.py

# What the tests compare with: real outputs of other projects, each in an environment of its own.
golden: setup .golden/transformers-4/installed .golden/transformers-5/installed
	$(BIN)/python tests/golden/tokenizer.py .golden/transformers-4/bin/python .golden/transformers-5/bin/python

.golden/%/installed: tests/golden/%.txt
	$(PYTHON) -m venv .golden/$*
	.golden/$*/bin/pip install --quiet -r $<
	touch $@
