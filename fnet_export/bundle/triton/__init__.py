"""Make a model repository of a Triton Inference Server from bundles (docs/triton.md)."""
