"""The rate gate of one connection: every request counts, in all its windows at once.

One process works a workspace at a time (the engine sees to it), so the counting is exact where it is kept: in memory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from hub.contract.errors import Transient
from hub.contract.status import Delivered


class Gate:
    """Lets at most `limits[seconds]` requests pass in any window of so many seconds. Threads share it."""

    def __init__(self, limits: dict[float, int], cancel: threading.Event | None = None) -> None:
        self._limits = limits
        self._cancel = cancel or threading.Event()
        self._passed: deque[float] = deque()
        self._longest = max(limits, default=0.0)
        self._lock = threading.Lock()

    def _seconds_to_wait(self, now: float) -> float:
        while self._passed and self._passed[0] <= now - self._longest:
            self._passed.popleft()
        wait = 0.0
        for window, limit in self._limits.items():
            if len(self._passed) >= limit:
                wait = max(wait, self._passed[-limit] + window - now)
        return wait

    def wait(self, verb: str, *, left: Callable[[], float]) -> None:
        """Return when one more request may go.

        Raises Transient (delivered: no) where `left()` seconds are too few, and as soon as a stop is called.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                wait = self._seconds_to_wait(now)
                if wait <= 0:
                    self._passed.append(now)
                    return
            if wait > left():
                raise Transient(
                    f"the limit of this connection lets the next request ({verb}) go in {wait:.0f} s",
                    delivered=Delivered.NO,
                )
            if self._cancel.is_set():
                raise Transient(f"not asked ({verb}): the hub is stopping", delivered=Delivered.NO)
            time.sleep(min(wait, 0.25))
