"""The order in which a lane works: the urgent first, and nothing waits for ever."""

from __future__ import annotations

import threading

import pytest

from hub.engine import turns
from hub.engine.turns import PATIENCE, Rank, Turns


class Time:
    """A clock that moves when the test lets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(turns, "time", made)
    return made


def taken(queue: Turns[str], times: int) -> list[str | None]:
    return [queue.take() for _ in range(times)]


@pytest.mark.usefixtures("clock")
def test_deliveries_go_before_looks_and_looks_before_polls() -> None:
    """Whatever was asked for first; among themselves deliveries keep the order in which they were asked for."""
    queue = Turns[str]()
    for rank, what in ((2, "poll"), (1, "look"), (0, "most urgent"), (0, "urgent"), (1, "second look")):
        queue.ask(Rank(rank), what)
    assert ["most urgent", "urgent", "look", "second look", "poll"] == taken(queue, 5)
    assert queue.empty()


def test_an_endless_stream_of_deliveries_keeps_nothing_waiting_for_ever(clock: Time) -> None:
    """What has waited past its patience goes every other time, the poll first; the deliveries go on beside it."""
    queue = Turns[str]()
    queue.ask(Rank.LOOK, "look 1")
    queue.ask(Rank.LOOK, "look 2")
    queue.ask(Rank.POLL, "poll")
    for number in range(9):
        queue.ask(Rank.DELIVERY, f"{number}")
    clock.now += PATIENCE - 1
    assert ["0", "1"] == taken(queue, 2)
    clock.now += 2
    assert ["poll", "2", "look 1", "3", "look 2", "4", "5"] == taken(queue, 7)


def test_a_backlog_of_deliveries_shuts_no_poll_out(clock: Time) -> None:
    """However long the deliveries have waited themselves, and however often polls come."""
    queue = Turns[str]()
    for _ in range(50):
        queue.ask(Rank.DELIVERY, "delivery")
    clock.now += 10 * PATIENCE
    order = []
    for _ in range(3):
        queue.ask(Rank.POLL, "poll")
        order += taken(queue, 2)
        clock.now += PATIENCE + 1
        order += taken(queue, 2)
    assert 3 == order.count("poll")
    assert "delivery" == order[0]


def test_no_backlog_of_one_kind_shuts_another_out(clock: Time) -> None:
    """Every rank that waits too long has its share of the turns, however much waits with it."""
    queue = Turns[str]()
    for rank in (Rank.AUDIT, Rank.LOOK, Rank.DELIVERY):
        for _ in range(20):
            queue.ask(rank, rank.name)
    queue.ask(Rank.POLL, "POLL")
    clock.now += PATIENCE
    order = taken(queue, 14)
    assert ["POLL", "DELIVERY", "LOOK", "DELIVERY", "AUDIT", "DELIVERY", "LOOK"] == order[:7]
    assert 7 == order.count("DELIVERY")


def test_a_queue_that_is_closed_gives_out_nothing_and_lets_its_threads_go() -> None:
    """What was waiting is handed back, and whoever waits for work hears that there is none any more."""
    queue = Turns[str]()
    heard: list[str | None] = []
    thread = threading.Thread(target=lambda: heard.append(queue.take()))
    thread.start()
    assert [] == queue.close()
    thread.join(5)
    assert [None] == heard
    other = Turns[str]()
    other.ask(Rank.POLL, "poll")
    other.ask(Rank.DELIVERY, "delivery")
    assert ["delivery", "poll"] == other.close()
    assert other.take() is None
