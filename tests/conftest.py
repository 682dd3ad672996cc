"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("HUB_SHARED", ROOT.parent / "shared"))
_NO_SHARED = "third-party test data is absent; name its folder in HUB_SHARED"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party test data; the test skips where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(_NO_SHARED)
    return SHARED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests skipped for lack of the third-party data, so that nobody takes a gap for a pass."""
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if _NO_SHARED in str(r.longrepr)]
    terminalreporter.write_line(f"skipped for lack of third-party data: {len(skipped)}")
