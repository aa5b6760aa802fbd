"""Graphs in half precision and int8, and the proof of what they compute."""
