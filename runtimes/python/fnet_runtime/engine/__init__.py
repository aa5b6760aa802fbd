"""TensorRT and TensorRT-RTX: what differs between them, building an engine, and what an engine needs of a host."""
