"""Checkpoints of every format, opened and checked."""
