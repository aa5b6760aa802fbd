"""The choice among bundles of one model: export the candidates, measure them, and keep the one that meets the limits."""
