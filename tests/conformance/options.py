"""The options of the suite; the package is a pytest plugin (`-p conformance`, or pytest_plugins)."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--live` and the workspace that it is found in."""
    group = parser.getgroup("conformance")
    group.addoption(
        "--live", metavar="ACCOUNT", help="run the conformance suite against this sandbox account of a real hub.yaml"
    )
    group.addoption(
        "--live-workspace",
        metavar="FOLDER",
        default=os.environ.get("HUB_WORKSPACE"),
        help="the workspace of --live; default: HUB_WORKSPACE",
    )


def pytest_configure(config: pytest.Config) -> None:
    """What a check may be marked with."""
    config.addinivalue_line("markers", "safe_live: may run against a sandbox (--live)")
