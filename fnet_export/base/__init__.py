"""What every part of the exporter stands on: errors, progress, this host, files that are written whole."""
