"""An opened bundle that takes text and gives answers."""
