"""Opens an fnet-export bundle and answers: text in, labels, spans, fillers or embeddings out.

import fnet_runtime
fnet_runtime.load("bundle")("some text")
"""

from fnet_runtime.errors import BundleError, FNetRuntimeError, InputError, SessionError
from fnet_runtime.pipelines import Pipeline, load

__all__ = ["BundleError", "FNetRuntimeError", "InputError", "Pipeline", "SessionError", "load"]
