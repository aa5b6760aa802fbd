"""From a trained FNet to a verified bundle."""

import os
import sys

# As in fnet_runtime: the exporter imports the libraries of engines by itself too.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
