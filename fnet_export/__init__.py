"""From a trained FNet to a verified bundle."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in fnet_runtime: the exporter imports onnxruntime by itself too
