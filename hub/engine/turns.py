"""In which order a lane's threads take what was asked: deliveries, looks at doubt, polls, and then audits."""

from __future__ import annotations

import threading
import time
from collections import deque
from enum import IntEnum
from typing import Generic, TypeVar

PATIENCE = 30.0  # seconds; every other turn is for what has waited longer, so that nothing waits for ever

T = TypeVar("T")


class Rank(IntEnum):
    """What goes before what."""

    DELIVERY = 0
    LOOK = 1
    POLL = 2
    AUDIT = 3


class Turns(Generic[T]):
    """A queue of several ranks; within a rank, first come, first served. Threads share it."""

    def __init__(self) -> None:
        self._waiting: dict[Rank, deque[tuple[float, T]]] = {rank: deque() for rank in Rank}
        self._changed = threading.Condition()
        self._closed = False
        self._out_of_rank = False  # the last one that was taken
        self._in_turn = [Rank.POLL, Rank.LOOK, Rank.AUDIT, Rank.DELIVERY]  # who had no turn out of rank for longest

    def ask(self, rank: Rank, what: T) -> None:
        """Let `what` wait for its turn."""
        with self._changed:
            self._waiting[rank].append((time.monotonic(), what))
            self._changed.notify()

    def take(self) -> T | None:
        """The next; waits for one. None once the queue is closed."""
        with self._changed:
            while self.empty() and not self._closed:
                self._changed.wait()
            return None if self._closed else self._waiting[self._next()].popleft()[1]

    def close(self) -> list[T]:
        """Give out nothing more; what was still waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            left = [what for waiting in self._waiting.values() for _, what in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
            return left

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not any(self._waiting.values())

    def _next(self) -> Rank:
        """The rank whose turn it is: the first, but for every other turn, which those share that wait too long."""
        first = next(rank for rank, waiting in self._waiting.items() if waiting)
        long_ago = time.monotonic() - PATIENCE
        late = [r for r in self._in_turn if r is not first and self._waiting[r] and self._waiting[r][0][0] <= long_ago]
        self._out_of_rank = bool(late) and not self._out_of_rank
        if not self._out_of_rank:
            return first
        self._in_turn.remove(late[0])
        self._in_turn.append(late[0])
        return late[0]
