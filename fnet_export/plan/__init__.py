"""One export, from its options to a verified bundle."""
