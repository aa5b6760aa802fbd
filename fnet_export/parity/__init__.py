"""Agreement with the float64 reference."""
