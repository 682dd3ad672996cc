from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.contract.errors import Transient
from hub.contract.status import Delivered
from hub.delivery import gate as gate_module
from hub.delivery.gate import Gate

FOREVER = 1e9


def most_in_any_window(passed: list[float], seconds: float) -> int:
    """The most that passed in any window of so many seconds, whenever it begins."""
    return max(sum(begin <= moment < begin + seconds for moment in passed) for begin in passed)


def test_threads_never_pass_more_than_the_limit_in_any_window() -> None:
    """Eight threads that ask without a pause, and two windows that hold at once."""
    gate = Gate({0.1: 4, 0.5: 9})
    passed: list[float] = []
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(3):
            gate.wait("submit", left=lambda: FOREVER)
            with lock:
                passed.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 24 == len(passed)
    stamps = list(gate._passed)
    assert most_in_any_window(stamps, 0.1) <= 4
    assert most_in_any_window(stamps, 0.5) <= 9
    assert max(passed) - min(passed) >= 0.9  # 24 requests, nine in each half second


class Time:
    """A clock that moves only while somebody sleeps or the test lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@settings(max_examples=200, deadline=None)
@given(
    limits=st.dictionaries(st.sampled_from((1.0, 5.0, 60.0)), st.integers(1, 6), min_size=1),
    gaps=st.lists(st.floats(0, 20), min_size=1, max_size=40),
)
def test_whatever_the_limits_and_the_pauses_no_window_holds_too_many(
    limits: dict[float, int], gaps: list[float]
) -> None:
    """Every window, wherever it begins, and no request waits longer than the longest window."""
    clock = Time()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate_module, "time", clock)
        gate, passed = Gate(limits), []
        for gap in gaps:
            clock.now += gap
            before = clock.now
            gate.wait("find", left=lambda: FOREVER)
            passed.append(clock.now)
            assert clock.now - before <= max(limits) + 0.3
    for seconds, limit in limits.items():
        assert most_in_any_window(passed, seconds) <= limit


def test_a_request_that_would_wait_past_its_deadline_is_given_back_at_once() -> None:
    """Nothing was sent, it says how long it would take, and it took no place of another's."""
    gate = Gate({60.0: 1})
    gate.wait("submit", left=lambda: 5.0)
    begin = time.monotonic()
    with pytest.raises(Transient, match=r"\(statuses\) go in 60 s") as caught:
        gate.wait("statuses", left=lambda: 5.0)
    assert time.monotonic() - begin < 1
    assert Delivered.NO is caught.value.delivered
    assert 1 == len(gate._passed)


def test_without_limits_nothing_waits() -> None:
    """A connection that names none is held back by none, and nothing is remembered."""
    gate = Gate({})
    for _ in range(1000):
        gate.wait("find", left=lambda: 0.0)
    assert len(gate._passed) <= 1


def test_a_stop_ends_the_waiting() -> None:
    """Whoever waits for the limit goes away unsent as soon as the hub stops."""
    cancel = threading.Event()
    gate = Gate({60.0: 1}, cancel)
    gate.wait("find", left=lambda: 100)
    cancel.set()
    with pytest.raises(Transient, match="the hub is stopping") as stopped:
        gate.wait("find", left=lambda: 100)
    assert Delivered.NO == stopped.value.delivered
