"""From a trained FNet to a verified bundle."""
