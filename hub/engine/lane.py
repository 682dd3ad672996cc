"""One lane: a connection, and the threads in which all that is asked of its portal is asked, the urgent first.

Each thread keeps its connector as long as the lane lives. A portal that hangs holds its own lane's threads and no
other's; and as they are daemons, it cannot keep a process alive that was told to stop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from functools import partial

from hub.contract.errors import Transient
from hub.delivery import audit, collect, deliver, ledger, reconcile
from hub.delivery.workspace import Workspace
from hub.engine.guard import guarded
from hub.engine.turns import Rank, Turns
from hub.store import tables as t

Piece = Callable[[], int]
_log = logging.getLogger(__name__)


class Lane:
    """As many pieces of work side by side as the connection allows: deliveries, then looks at doubt, then polls."""

    def __init__(self, ws: Workspace, connection: str) -> None:
        self.ws = ws
        self.connection = connection
        self._portal = ws.portal(connection)
        self._asked: Turns[tuple[Future[int], str, Piece]] = Turns()
        self._in_hand: set[str] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"{connection}-{n}", daemon=True)
            for n in range(self._portal.max_parallel)
        ]
        for thread in self._threads:
            thread.start()

    def deliver_due(self) -> list[Future[int]]:
        """Ask for every delivery that is due and not asked for yet; each comes to 1 if it was tried."""
        due = [] if self.is_paused() else deliver.due(self.ws, self.connection)
        return self._ask(Rank.DELIVERY, ((f"delivering submission {one}", partial(self._deliver, one)) for one in due))

    def reconcile(self, doubtful: Iterable[int]) -> list[Future[int]]:
        """Ask for a look at each of these that is not asked for yet; each comes to 1 if it was made."""
        return self._ask(
            Rank.LOOK, ((f"reconciling submission {one}", partial(self._reconcile, one)) for one in doubtful)
        )

    def poll(self, customers: Collection[str] | None = None) -> list[Future[int]]:
        """Ask for the statuses, unless that is asked for already; it comes to the number of new events.

        `customers` are the portal's ids of those whose turn it is, where it is asked for each by itself; None is all.
        """
        piece = partial(collect.collect, self.ws, self.connection, customers)
        return self._ask(Rank.POLL, [(f"collecting from {self.connection}", piece)])

    def audit(self) -> list[Future[int]]:
        """Ask for the looks at what seemed settled, as far as they are due and nothing more urgent waits."""
        due = [] if self.is_paused() or not self._asked.empty() else audit.due(self.ws, self.connection)
        return self._ask(Rank.AUDIT, ((f"looking again at submission {one}", partial(self._audit, one)) for one in due))

    def is_paused(self) -> bool:
        """Whether somebody or something stopped this connection."""
        return ledger.is_paused(self.ws.db, t.connection, self.connection)

    def close(self, *, seconds: float) -> bool:
        """Drop what was not begun, and wait so long for what was; False if some of it is left behind."""
        for future, _, _ in self._asked.close():
            future.cancel()
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _ask(self, rank: Rank, pieces: Iterable[tuple[str, Piece]]) -> list[Future[int]]:
        futures = []
        for what, piece in pieces:
            if what not in self._in_hand:
                self._in_hand.add(what)
                futures.append(Future[int]())
                self._asked.ask(rank, (futures[-1], what, piece))
        return futures

    def _work(self) -> None:
        """One thread's life."""
        worked = False
        while (asked := self._asked.take()) is not None:
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
            guarded(self.ws, f"closing {self.connection}", self._portal.for_reading().close)

    def _do(self, what: str, piece: Piece) -> int:
        return guarded(self.ws, what, partial(self._in_a_slot, what, piece)) or 0

    def _in_a_slot(self, what: str, piece: Piece) -> int:
        """Together with every other process's, no more pieces are under way than the portal allows."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._portal.slot())
            except Transient as error:  # it is asked for again with all that is due
                _log.info("%s: %s", what, error)
                return 0
            # Looked at before each piece: after a refused login, the rest of a long queue must not try it too.
            if self.ws.cancel.is_set() or self.is_paused():
                return 0
            return piece()

    def _deliver(self, submission_id: int) -> int:
        if not deliver.may_submit(self.ws, self.connection):  # a long queue can outlast the hours
            return 0
        return int(deliver.deliver(self.ws, submission_id) is not None)

    def _reconcile(self, submission_id: int) -> int:
        reconcile.reconcile(self.ws, submission_id)
        return 1

    def _audit(self, submission_id: int) -> int:
        audit.look(self.ws, submission_id)
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
