# `make demo` exports the built-in model and asks the bundle about two e-mails; `make test` checks everything but aarch64
# (`make cpp-aarch64`); CI runs both. All set up .venv, pinned by constraints.txt.
PYTHON ?= python3
BIN = .venv/bin
MAILS = examples/emails

.PHONY: setup demo lint lint-cpp test golden bench cpp cpp-aarch64
setup: .venv/installed

.venv/installed: pyproject.toml runtimes/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e runtimes/python -e '.[dev,openvino,tensorrt-rtx]'
	touch $@

demo: setup
	$(BIN)/fnet-export --task sequence-classification --target tensorrt --output bundle --force
	$(BIN)/fnet-run bundle --runtime onnxruntime --file $(MAILS)/ham.txt --file $(MAILS)/spam.txt

lint: setup lint-cpp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# clang-format for every file, clang-tidy for those with uncommitted changes; `runtimes/cpp/scripts/lint.sh --all` checks every file.
lint-cpp:
	runtimes/cpp/scripts/lint.sh

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile -m 'not aarch64'

# The C++ runtime, built and tested. ONNXRUNTIME_ROOT, where set, is an ONNX Runtime SDK; else one is assembled.
cpp: export ONNXRUNTIME_ROOT := $(or $(ONNXRUNTIME_ROOT),$(CURDIR)/runtimes/cpp/build/onnxruntime)
cpp:
	[ -d $(ONNXRUNTIME_ROOT)/include ] || scripts/onnxruntime_sdk.sh $(ONNXRUNTIME_ROOT)
	cd runtimes/cpp && cmake --preset default && cmake --build --preset default && ctest --preset default

# The same cross-built for aarch64, and emulated (docs/cpp.md).
cpp-aarch64: setup
	@for tool in aarch64-linux-gnu-g++ qemu-aarch64; do \
		command -v $$tool >/dev/null || { echo "$$tool is missing; apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 1; }; done
	scripts/aarch64_sysroot.sh runtimes/cpp/build/aarch64-sysroot
	scripts/onnxruntime_sdk.sh runtimes/cpp/build/onnxruntime-aarch64 aarch64
	$(BIN)/python -m pytest tests/cpp/test_aarch64.py

# What the tests compare with: real outputs of other projects, each in an environment of its own. They are committed.
# (Tests install onnxruntime-*, openvino-* and transformers-4 themselves, to run what an export writes in old releases.)
GOLDEN = flax keras transformers-4 transformers-5
golden: setup $(GOLDEN:%=.golden/%/installed)
	.golden/flax/bin/python tests/golden/flax_checkpoint.py
	.golden/keras/bin/python tests/golden/keras_preset.py
	$(BIN)/python tests/golden/tokenizer.py .golden/transformers-4/bin/python .golden/transformers-5/bin/python

.golden/%/installed: tests/golden/%.txt
	$(PYTHON) -m venv .golden/$*
	.golden/$*/bin/pip install --quiet $(if $(filter flax keras onnxruntime-% openvino-%,$*),--no-deps) -r $<
	touch $@

bench: setup
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/peers.py
