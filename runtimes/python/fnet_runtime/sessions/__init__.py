"""Open an engine, and run it: arrays in, arrays out."""
