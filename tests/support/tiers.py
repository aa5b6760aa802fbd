"""Say that a tier cannot run on this host. The last lines of a run of tests name each such tier and what it needs."""

from typing import NoReturn

import pytest

NOT_RUN = "tier: not run: "


def not_run(tier, needs, remedy) -> NoReturn:
    """Skip a test because the host lacks what its whole tier needs."""
    pytest.skip(f"{tier} {NOT_RUN}needs {needs}; run {remedy}")


def tiers_not_run(skipped):
    """Return one line for each tier and reason, from the reports of skipped tests."""
    reasons = [report.longrepr[2] for report in skipped if isinstance(report.longrepr, tuple)]
    lines = [reason.removeprefix("Skipped: ") for reason in reasons if NOT_RUN in reason]
    return [f"{line} ({lines.count(line)} tests)" for line in dict.fromkeys(lines)]
