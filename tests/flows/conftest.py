"""What the flows share: one simulated network a module, and a fresh workspace a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import Bench, make_bench, network

from hub.simulators.client import Simulator


@pytest.fixture(scope="module")
def portals() -> Iterator[Simulator]:
    """The demo's network."""
    with Simulator.start(network()) as sim:
        yield sim


@pytest.fixture
def bench(portals: Simulator, tmp_path: Path) -> Bench:
    """A workspace like the demo's, and the network as if just started."""
    portals.reset()
    return make_bench(tmp_path / "workspace", portals)
