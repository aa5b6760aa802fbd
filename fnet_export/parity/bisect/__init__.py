"""The first node of a graph that departs from the reference."""
