"""One connection's threads: the urgent first, and together with other processes never more than the portal allows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from scripted import SCRIPTS, cascadia, drop, states, until

from hub.contract.connector import Step
from hub.contract.status import Submission
from hub.delivery.workspace import Workspace
from hub.engine import work
from hub.engine.lane import Lane

Open = Callable[..., Workspace]


def ready(ws: Workspace, *numbers: str) -> None:
    """Invoices for the north that may go."""
    drop(ws.config.workspace, *cascadia(*numbers))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)


def done(asked: list[Future[int]]) -> int:
    return sum(each.result(20) for each in asked)


@pytest.fixture
def lane_of() -> Iterator[Callable[[Workspace], Lane]]:
    """The northern lane; closed at the end."""
    made: list[Lane] = []

    def open_(ws: Workspace) -> Lane:
        made.append(Lane(ws, "north"))
        return made[-1]

    yield open_
    for each in made:
        each.close(seconds=5)


def test_deliveries_go_before_a_poll_that_was_asked_for_first(
    opened: Open, lane_of: Callable[[Workspace], Lane]
) -> None:
    """The thread is busy meanwhile; nothing that is on the wire is disturbed."""
    ws = opened(north=", statuses: true")
    ready(ws, "A")
    answered = threading.Event()
    SCRIPTS["north"].submit = lambda _step: (answered.wait(20), None)[1]
    lane = lane_of(ws)
    first = lane.deliver_due()
    until(lambda: SCRIPTS["north"].arrived, "the first")
    poll = lane.poll()
    ready(ws, "B", "C")
    rest = lane.deliver_due()
    answered.set()
    assert (1, 2, 0) == (done(first), done(rest), done(poll))
    assert ["submit", "submit", "submit", "statuses"] == SCRIPTS["north"].asked


def test_two_processes_lanes_never_have_more_calls_in_flight_than_the_portal_allows(
    opened: Open, lane_of: Callable[[Workspace], Lane]
) -> None:
    """Each has as many threads as it might use alone; together they hold two places, and each invoice goes once."""
    here, there = opened(north=", max_parallel: 2"), opened()
    numbers = [f"A{number}" for number in range(8)]
    ready(here, *numbers)
    lock, now, most = threading.Lock(), 0, 0

    def submit(_step: Step) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    SCRIPTS["north"].submit = submit
    asked = [each for ws in (here, there) for each in lane_of(ws).deliver_due()]
    assert 8 == done(asked)
    assert 2 == most
    assert sorted(numbers) == sorted(SCRIPTS["north"].arrived)
    assert {Submission.ACCEPTED} == set(states(here).values())


def test_what_gets_no_place_is_not_begun_and_asked_for_again(
    opened: Open, lane_of: Callable[[Workspace], Lane]
) -> None:
    """Another process is at work all the time: a stop ends the waiting, and the invoice is as ready as it was."""
    here, there = opened(), opened()
    ready(here, "A")
    lane = lane_of(here)
    with there.portal("north").slot():
        asked = lane.deliver_due()
        assert [] == lane.deliver_due()
        time.sleep(0.1)
        here.cancel.set()
        assert 0 == done(asked)
    assert {"A": Submission.READY} == states(there)
    assert [] == SCRIPTS["north"].asked
    other = lane_of(there)
    assert 1 == done(other.deliver_due())
