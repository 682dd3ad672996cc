from __future__ import annotations

from collections.abc import Iterator

import pytest
from ariba_samples import PAIR, config

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


@pytest.fixture(scope="session")
def running_tls() -> Iterator[Simulator]:
    with Simulator.start(config(), tls=PAIR) as sim:
        yield sim


@pytest.fixture
def tls_sim(running_tls: Simulator) -> Simulator:
    """The same behind TLS."""
    running_tls.reset()
    return running_tls


@pytest.fixture(params=["plain", "tls"])
def either(request: pytest.FixtureRequest) -> Simulator:
    """The network without TLS, and with it."""
    found: Simulator = request.getfixturevalue("sim" if request.param == "plain" else "tls_sim")
    return found
