"""The layers of an engine as it runs, by the engine's own profiler."""
