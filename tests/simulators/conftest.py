from __future__ import annotations

from collections.abc import Iterator

import pytest
from ariba_samples import config

from hub.simulators.client import Simulator


@pytest.fixture(scope="session")
def running() -> Iterator[Simulator]:
    with Simulator.start(config()) as sim:
        yield sim


@pytest.fixture
def sim(running: Simulator) -> Simulator:
    """A network that remembers nothing of earlier tests."""
    running.reset()
    return running
