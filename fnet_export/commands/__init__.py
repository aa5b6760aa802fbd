"""The commands of fnet-export, one per file."""
