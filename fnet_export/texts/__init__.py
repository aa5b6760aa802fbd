"""Texts that a model is run on."""
