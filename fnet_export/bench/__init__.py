"""Bundles timed side by side: each in a process of its own, and the processes take turns."""
