"""Graphs in half precision and in eight bits, and the proof of what they compute."""
