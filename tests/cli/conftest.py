"""What the tests of commands share: a workspace after a working day, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import FIXTURES, Bench, Command, command, make_bench, network

from hub.simulators.client import Simulator


@pytest.fixture(scope="module")
def portals() -> Iterator[Simulator]:
    """The demo's network."""
    with Simulator.start(network()) as sim:
        yield sim


@pytest.fixture(scope="module")
def day(portals: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Our sample invoices after they went out and some buyers acted; for tests that only look."""
    portals.reset()
    bench = make_bench(tmp_path_factory.mktemp("day") / "workspace", portals)
    for path in FIXTURES.iterdir():
        if path.is_file():
            bench.put(path.name, path.read_bytes())
    bench.work()
    portals.pay("RV-26-1002")
    portals.reject("RA-26-2002", "The price of line 1 differs from the order")
    bench.work()
    return bench


@pytest.fixture
def bench(day: Bench, tmp_path: Path) -> Bench:
    """The same for one test alone."""
    shutil.copytree(day.folder, tmp_path / "workspace")
    copy = Bench(tmp_path / "workspace", day.network)
    copy.arm()
    return copy


@pytest.fixture
def hub(bench: Bench) -> Command:
    """The command line in a workspace of its own."""
    return lambda *arguments: command("-w", bench.folder, *arguments)


@pytest.fixture
def look(day: Bench) -> Command:
    """The command line in the workspace that tests only look at."""
    return lambda *arguments: command("-w", day.folder, *arguments)


@pytest.fixture
def anywhere() -> Command:
    """The command line with no workspace named."""
    return command
