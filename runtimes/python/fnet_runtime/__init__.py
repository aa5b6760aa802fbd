"""Opens an fnet-export bundle and answers: text in, labels, spans, fillers or embeddings out.

import fnet_runtime
fnet_runtime.load("bundle")("some text")
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported, which would send usage data

from fnet_runtime.errors import BundleError, FNetRuntimeError, InputError, SessionError
from fnet_runtime.pipeline.pipelines import Pipeline, load

__all__ = ["BundleError", "FNetRuntimeError", "InputError", "Pipeline", "SessionError", "load"]
