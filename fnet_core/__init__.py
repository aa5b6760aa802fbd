"""FNet as trained: configuration, mixing, model, heads and checkpoints."""
