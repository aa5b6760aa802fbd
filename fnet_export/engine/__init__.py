"""The libraries that make an engine from a graph."""
