"""Answer texts with an opened bundle."""
