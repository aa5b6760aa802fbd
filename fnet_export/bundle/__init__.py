"""The folder that is handed over: written whole, opened again, verified, described."""
