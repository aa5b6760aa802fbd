"""Graph passes, one a file: an onnx_ir model in, and whether it was changed."""
