# `make demo` exports the built-in model and asks the bundle about two e-mails. `make test` is the loop of every day, `make test-all` is
# everything, and what CI runs (CONTRIBUTING.md says what each tier holds). All set up .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN = .venv/bin
MAILS = examples/emails
PYTEST = $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: setup packages packages-all demo ray-batch ray-serve lint lint-cpp test test-all build build-all cpp cpp-aarch64 golden bench
setup: .venv/installed

# What the tests need from the system. Where make may not install it, it prints the line that does, and the tests say what they lack.
packages:
	@scripts/system_packages.sh

packages-all:
	@scripts/system_packages.sh all

.venv/installed: pyproject.toml runtimes/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e runtimes/python -e '.[dev,openvino,tensorrt-rtx]'
	touch $@

demo: setup
	$(BIN)/fnet-export --task sequence-classification --target tensorrt --output bundle --force
	$(BIN)/fnet-run bundle --runtime onnxruntime --file $(MAILS)/ham.txt --file $(MAILS)/spam.txt

# The examples of Ray (examples/ray_batch, examples/ray_serve), on this host.
bundle-ray/installed: setup
	$(BIN)/pip install --quiet -c constraints.txt -e 'runtimes/python[ray]'
	mkdir -p $(@D)
	test -d $(@D)/spam || $(BIN)/fnet-export --task sequence-classification --target onnx --output $(@D)/spam --quick
	touch $@

ray-batch: bundle-ray/installed
	$(BIN)/python examples/ray_batch/answer.py --bundle bundle-ray/spam --input fnet_export/texts/emails.jsonl --output bundle-ray/answers

ray-serve: bundle-ray/installed
	$(BIN)/python examples/ray_serve/serve.py --bundle bundle-ray/spam

lint: setup lint-cpp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# clang-format for every file, clang-tidy for those with uncommitted changes; `runtimes/cpp/scripts/lint.sh --all` checks every file.
lint-cpp:
	runtimes/cpp/scripts/lint.sh

test: packages build lint
	$(PYTEST) tests/unit tests/export tests/cpp

test-all: packages-all build-all lint
	$(PYTEST) --durations=40 tests

# The C++ runtime as `make test` needs it, and in every way that `make test-all` does. ONNXRUNTIME_ROOT, where set, is an ONNX Runtime
# SDK; else one is assembled.
build: packages setup
	@PYTHON=$(CURDIR)/$(BIN)/python scripts/cpp_build.sh default

build-all: packages-all setup
	@PYTHON=$(CURDIR)/$(BIN)/python scripts/cpp_build.sh default asan tsan aarch64

# The C++ runtime, built and tested by itself; then cross-built for aarch64, and emulated (docs/cpp.md).
cpp: build
	cd runtimes/cpp && ctest --preset default

cpp-aarch64: packages-all setup
	@PYTHON=$(CURDIR)/$(BIN)/python scripts/cpp_build.sh aarch64
	$(PYTEST) tests/deep/cpp/test_aarch64.py

# What the tests compare with: real outputs of other projects, each in an environment of its own. They are committed.
# (Tests install onnxruntime-*, openvino-*, optimum, sentence-transformers, transformers-4 and triton-* themselves, to run what an export
# reads or writes in other programs.)
GOLDEN = datasets flax keras transformers-4 transformers-5
golden: setup $(GOLDEN:%=.golden/%/installed)
	.golden/datasets/bin/python tests/golden/labelled_data.py
	.golden/flax/bin/python tests/golden/flax_checkpoint.py
	.golden/keras/bin/python tests/golden/keras_preset.py
	$(BIN)/python tests/golden/tokenizer.py .golden/transformers-4/bin/python .golden/transformers-5/bin/python

.golden/%/installed: tests/golden/%.txt
	$(PYTHON) -m venv .golden/$*
	.golden/$*/bin/pip install --quiet $(if $(filter flax keras onnxruntime-% openvino-% optimum sentence-% triton-%,$*),--no-deps) -r $<
	touch $@

bench: setup
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/peers.py
