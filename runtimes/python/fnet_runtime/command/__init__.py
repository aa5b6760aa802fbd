"""The program fnet-run."""
