"""FNet as trained: configuration, transforms, model, heads and checkpoints."""

import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when huggingface_hub is imported, which would report downloads
