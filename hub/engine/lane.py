"""One lane: a connection, and the threads in which all that is asked of its portal is asked.

Each thread keeps its connector as long as the lane lives. A portal that hangs holds its own lane's threads and no
other's; and as they are daemons, it cannot keep a process alive that was told to stop.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue

from hub.delivery import collect, deliver, ledger, reconcile
from hub.delivery.workspace import Workspace
from hub.engine.guard import guarded
from hub.store import tables as t

Piece = Callable[[], int]


class Lane:
    """As many pieces of work side by side as the connection allows, in the order in which they were asked for."""

    def __init__(self, ws: Workspace, connection: str) -> None:
        self.ws = ws
        self.connection = connection
        allowed = ws.portal(connection).for_reading().capabilities.max_parallel
        cap = ws.config.connections[connection].max_parallel
        self._asked: SimpleQueue[tuple[Future[int], str, Piece] | None] = SimpleQueue()
        self._in_hand: set[str] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"{connection}-{n}", daemon=True)
            for n in range(min(allowed, cap or allowed))
        ]
        for thread in self._threads:
            thread.start()

    def deliver_due(self) -> list[Future[int]]:
        """Ask for every delivery that is due and not asked for yet; each comes to 1 if it was tried."""
        due = [] if self.is_paused() else deliver.due(self.ws, self.connection)
        return self._ask((f"delivering submission {one}", partial(self._deliver, one)) for one in due)

    def reconcile(self, doubtful: Iterable[int]) -> list[Future[int]]:
        """Ask for a look at each of these that is not asked for yet; each comes to 1 if it was made."""
        return self._ask((f"reconciling submission {one}", partial(self._reconcile, one)) for one in doubtful)

    def poll(self) -> list[Future[int]]:
        """Ask for the statuses, unless that is asked for already; it comes to the number of new events."""
        return self._ask([(f"collecting from {self.connection}", partial(collect.collect, self.ws, self.connection))])

    def is_paused(self) -> bool:
        """Whether somebody or something stopped this connection."""
        return ledger.is_paused(self.ws.db, t.connection, self.connection)

    def close(self, *, seconds: float) -> bool:
        """Drop what was not begun, and wait so long for what was; False if some of it is left behind."""
        with contextlib.suppress(Empty):
            while (asked := self._asked.get_nowait()) is not None:
                asked[0].cancel()
        for _ in self._threads:
            self._asked.put(None)
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _ask(self, pieces: Iterable[tuple[str, Piece]]) -> list[Future[int]]:
        futures = []
        for what, piece in pieces:
            if what not in self._in_hand:
                self._in_hand.add(what)
                futures.append(Future[int]())
                self._asked.put((futures[-1], what, piece))
        return futures

    def _work(self) -> None:
        """One thread's life."""
        worked = False
        while (asked := self._asked.get()) is not None:
            future, what, piece = asked
            if not future.set_running_or_notify_cancel():
                continue
            worked = True
            try:
                future.set_result(self._do(what, piece))
            except BaseException as error:  # noqa: BLE001 - whoever asked hears of it
                future.set_exception(error)
            finally:
                self._in_hand.discard(what)
        if worked:
            guarded(self.ws, f"closing {self.connection}", self.ws.portal(self.connection).for_reading().close)

    def _do(self, what: str, piece: Piece) -> int:
        # Looked at before each piece: after a refused login, the rest of a long queue must not try it too.
        if self.ws.cancel.is_set() or self.is_paused():
            return 0
        return guarded(self.ws, what, piece) or 0

    def _deliver(self, submission_id: int) -> int:
        return int(deliver.deliver(self.ws, submission_id) is not None)

    def _reconcile(self, submission_id: int) -> int:
        reconcile.reconcile(self.ws, submission_id)
        return 1


def open_lanes(ws: Workspace) -> dict[str, Lane]:
    """A lane for each connection; one that cannot be opened gets none, so that its invoices wait."""
    opened = {key: guarded(ws, f"opening {key}", partial(Lane, ws, key)) for key in ws.config.connections}
    return {key: lane for key, lane in opened.items() if lane is not None}


def close_lanes(lanes: Iterable[Lane], *, seconds: float) -> bool:
    """Close them all within so many seconds; False if some work is left behind."""
    ends = time.monotonic() + seconds
    left = [lane for lane in lanes if not lane.close(seconds=max(0.0, ends - time.monotonic()))]
    return not left
