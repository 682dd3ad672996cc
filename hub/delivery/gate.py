"""The rate gate of one connection: every request counts, in all its windows at once, and submits go before polls."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from hub.contract.errors import Scope, Transient
from hub.contract.status import Delivered
from hub.delivery.passes import Passes

POLLS = frozenset({"statuses"})  # the verbs that let all others go first
POLL_YIELDS = 15.0  # seconds; then a poll goes in its turn like any other, so that no stream of submits shuts it out
_LOOK = 0.25  # seconds after which who stands in line looks whether there is a stop


@dataclass(eq=False)
class _Place:
    """One request's place in this process's line."""

    number: int
    yields_until: float  # monotonic; 0: it lets nobody go first


class Gate:
    """Lets at most `limits[seconds]` requests pass in any window of so many seconds, whichever process they are in.

    The threads of a process stand in line here, and only the first asks the log. Without limits nothing is asked.
    """

    def __init__(
        self, connection: str, limits: Mapping[float, int], passes: Passes, cancel: threading.Event | None = None
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._passes = passes
        self._cancel = cancel or threading.Event()
        self._numbers = count()
        self._line: list[_Place] = []
        self._moved = threading.Condition()
        self._opens = 0.0  # monotonic: when the first in line may go, as far as is known

    def wait(self, verb: str, *, left: Callable[[], float]) -> None:
        """Return when one more request may go.

        Raises Transient (delivered: no) where `left()` seconds are too few, with the time from which it is worth
        trying again, and as soon as a stop is called.
        """
        if not self._limits:
            return
        with self._in_line(verb) as place:
            while True:
                self._come_first(place, verb, left)
                yields = max(0.0, place.yields_until - time.monotonic()) if verb in POLLS else None
                wait = self._passes.ask(self._connection, self._limits, yields=yields)
                if wait <= 0:
                    return
                self._opens = time.monotonic() + wait
                self._bear(wait, verb, left)
                self._cancel.wait(wait)
                self._heed_stop(verb)

    @contextlib.contextmanager
    def _in_line(self, verb: str) -> Iterator[_Place]:
        place = _Place(next(self._numbers), time.monotonic() + POLL_YIELDS if verb in POLLS else 0.0)
        with self._moved:
            self._line.append(place)
        try:
            yield place
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()

    def _come_first(self, place: _Place, verb: str, left: Callable[[], float]) -> None:
        with self._moved:
            while min(self._line, key=_order(time.monotonic())) is not place:
                self._bear(max(0.0, self._opens - time.monotonic()), verb, left)
                self._moved.wait(_LOOK)

    def _bear(self, wait: float, verb: str, left: Callable[[], float]) -> None:
        self._heed_stop(verb)
        if wait > left():
            raise Transient(
                f"the limit of this connection lets the next request ({verb}) go in {wait:.0f} s",
                delivered=Delivered.NO,
                retry_after=dt.timedelta(seconds=wait),
            )

    def _heed_stop(self, verb: str) -> None:
        if self._cancel.is_set():  # that says nothing of the portal: its breaker counts no failure
            raise Transient(f"not asked ({verb}): the hub is stopping", delivered=Delivered.NO, scope=Scope.INVOICE)


def _order(now: float) -> Callable[[_Place], tuple[bool, int]]:
    return lambda place: (place.yields_until > now, place.number)
