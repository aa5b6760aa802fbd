"""The tokenizer of a checkpoint, and the length that it pads texts to."""
