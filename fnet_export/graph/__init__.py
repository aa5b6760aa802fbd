"""From a model to an optimized ONNX graph."""
