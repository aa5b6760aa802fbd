"""Run a model in ways that are not part of the Python runtime, and time them."""
