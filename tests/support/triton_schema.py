"""The protocol buffers of config.pbtxt, as tritonclient has them."""

import importlib.util
from functools import cache
from pathlib import Path

from google.protobuf import text_format


@cache
def schema():
    """Return the module model_config_pb2. It is read by itself, because its package imports grpc."""
    package = importlib.util.find_spec("tritonclient").submodule_search_locations[0]
    path = Path(package) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(folder):
    """Parse the config.pbtxt of a model; an unknown field is an error."""
    return text_format.Parse((folder / "config.pbtxt").read_text("utf-8"), schema().ModelConfig())
