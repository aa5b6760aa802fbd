"""Answer texts in a Triton Inference Server: what the model.py files of `fnet-export triton` import (docs/triton.md)."""
