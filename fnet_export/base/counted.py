"""Numbers of things in words."""


def counted(count: int, noun: str) -> str:
    """Write a number of things, each a `noun`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
