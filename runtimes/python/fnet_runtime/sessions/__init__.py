"""Opened engines: arrays in, arrays out."""
