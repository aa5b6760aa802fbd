"""What became of one way of running a model in a check, and how tables colour it."""

PASSED, FAILED, NOT_RUN = "passed", "failed", "not run"
STYLES = {PASSED: "green", FAILED: "bold red", NOT_RUN: "yellow"}


def styled(status: str) -> str:
    """Return a status in rich's markup."""
    return f"[{STYLES[status]}]{status}[/]"
