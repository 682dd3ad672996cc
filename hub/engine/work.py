"""The pieces of work that a schedule fires or one pass does in turn; each is safe to repeat and to die in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

from hub.contract.status import Submission
from hub.delivery import admit, check, collect, deliver, ledger, reconcile
from hub.delivery.workspace import Workspace
from hub.sources import folder
from hub.sources.folder import Fate, Folder, Handled
from hub.sources.read import Refused, read_bytes
from hub.store import tables as t
from hub.store.database import StoreError

_log = logging.getLogger(__name__)

Progress = Callable[[str, Iterable[int], int], Iterable[int]]
# Wraps what is worked through: (what, items, how many) gives the items back and shows how far it is.


def plainly(_what: str, items: Iterable[int], _total: int) -> Iterable[int]:
    """No progress is shown."""
    return items


def scan(ws: Workspace, source: str, *, quiet: float = folder.QUIET_SECONDS) -> Iterator[tuple[str, Handled]]:
    """Take in what lies in one watched folder."""

    def handle(name: str, content: bytes, young: bool) -> Handled:  # noqa: FBT001 - the folder's own form
        return take_in(ws, source, name, content, may_be_unfinished=young)

    for name, handled in folder.take(Folder(ws.config.sources[source].folder), handle, quiet=quiet):
        _log.info("%s: %s %s", name, handled.fate, handled.reason)
        yield name, handled


def take_in(ws: Workspace, source: str, name: str, content: bytes, *, may_be_unfinished: bool = False) -> Handled:
    """Read one file's content into the ledger; durable when this returns."""
    sha256 = ws.blobs.put(content)
    revision_id = None
    try:
        read = read_bytes(content, name)
        received = admit.receive(ws, read, name, content)
        outcome, reason, handled = str(received.outcome), "", Handled(Fate.DONE)
        revision_id = received.revision_id
    except Refused as error:
        if error.unfinished and may_be_unfinished:
            return Handled(Fate.LATER, str(error))
        outcome, reason, handled = "refused", str(error), Handled(Fate.REFUSED, str(error))
    except admit.ConflictError as error:
        outcome, reason, handled = "refused", str(error), Handled(Fate.REFUSED, str(error))
    with ws.db.writing() as tx:
        tx.execute(
            t.intake.insert().values(
                source=source,
                name=name,
                sha256=sha256,
                size=len(content),
                outcome=outcome,
                reason=reason or None,
                revision_id=revision_id,
                at=ws.now(),
            )
        )
    return handled


def check_all(ws: Workspace, progress: Progress = plainly) -> int:
    """Check what is new or changed; how many. One that cannot be checked stops no other."""
    ws.refresh()
    due = check.due(ws)
    for submission_id in progress("checking", due, len(due)):
        _guarded(f"checking submission {submission_id}", partial(check.check, ws, submission_id))
    return len(due)


def reconcile_all(ws: Workspace, progress: Progress = plainly) -> int:
    """Look for what is in doubt and due; how many."""
    due = reconcile.due(ws)
    for submission_id in progress("reconciling", due, len(due)):
        _guarded(f"reconciling submission {submission_id}", partial(reconcile.reconcile, ws, submission_id))
    return len(due)


def _guarded(what: str, work: Callable[[], object]) -> None:
    """Log a failure of one piece of work and go on; a database that cannot be had ends the pass."""
    try:
        work()
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - logged with its traceback
        _log.exception("%s failed; the others go on", what)


class Lane:
    """One connection: as many submits side by side as it allows, in threads that keep their connector."""

    def __init__(self, ws: Workspace, connection: str) -> None:
        self.ws = ws
        self.connection = connection
        allowed = ws.portal(connection).for_reading().capabilities.max_parallel
        cap = ws.config.connections[connection].max_parallel
        self._pool = ThreadPoolExecutor(min(allowed, cap or allowed), thread_name_prefix=f"lane-{connection}")
        self._turn = threading.Lock()

    def submit_due(self, progress: Progress = plainly) -> int:
        """Deliver what is ready and due; how many were tried. A second call while one works does nothing."""
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            due = deliver.due(self.ws, self.connection)
            if not due or self.is_paused():
                return 0
            futures = [self._pool.submit(self._deliver, submission_id) for submission_id in due]
            done = (future.result() for future in as_completed(futures))
            return sum(progress(f"delivering by {self.connection}", done, len(futures)))
        finally:
            self._turn.release()

    def _deliver(self, submission_id: int) -> int:
        if self.ws.cancel.is_set():
            return 0
        before: list[Submission | None] = []
        _guarded(
            f"delivering submission {submission_id}", lambda: before.append(deliver.deliver(self.ws, submission_id))
        )
        return int(bool(before) and before[0] is not None)

    def is_paused(self) -> bool:
        """Whether somebody or something stopped this connection."""
        return ledger.is_paused(self.ws.db, t.connection, self.connection)

    def poll(self) -> int:
        """Collect statuses, unless the connection is paused; how many events were new."""
        return 0 if self.is_paused() else collect.collect(self.ws, self.connection)

    def close(self, *, wait: bool) -> None:
        """End the lane's threads once what they are doing is done."""
        self._pool.shutdown(wait=wait, cancel_futures=True)
