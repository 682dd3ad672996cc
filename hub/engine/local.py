"""One machine: APScheduler fires the schedules, lanes do the work, one scheduler works a SQLite file at a time."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from hub.delivery import collect, reconcile
from hub.delivery.workspace import Workspace
from hub.engine import work
from hub.engine.work import Lane, Progress, plainly
from hub.store.database import StoreError

CHECK_EVERY = dt.timedelta(seconds=2)
RECONCILE_EVERY = dt.timedelta(seconds=1)
SWEEP_EVERY = dt.timedelta(minutes=1)
GRACE_SECONDS = 75.0  # longer than a call to a portal may take in all
_log = logging.getLogger(__name__)


class BusyError(Exception):
    """Another process works this database; two would not send twice, but only one is needed."""


@contextlib.contextmanager
def alone(ws: Workspace) -> Iterator[bool]:
    """Hold the one place at a SQLite file; True where nobody else can be sending. Raises BusyError if it is taken."""
    if not ws.db.is_sqlite:
        yield False
        return
    path = Path(f"{ws.db.url.database}.lock")
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise BusyError(
                f"another hub (process {holder}) works {ws.db.url.database} already; end it first"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield True


def once(ws: Workspace, progress: Progress = plainly, *, quiet: float = 2.0) -> None:
    """One pass of everything that is due now, in the order of an invoice's life."""
    with alone(ws) as nobody_else, _lanes(ws) as lanes:
        reconcile.recover(ws, alone=nobody_else)
        for source in ws.config.sources:
            for _ in work.scan(ws, source, quiet=quiet):
                pass
        work.check_all(ws, progress)
        work.reconcile_all(ws, progress)
        _side_by_side([partial(lane.submit_due, progress) for lane in lanes])
        _side_by_side([lane.poll for lane in lanes])
        work.check_all(ws)
        collect.overdue(ws)


@contextlib.contextmanager
def _lanes(ws: Workspace) -> Iterator[list[Lane]]:
    lanes = [Lane(ws, connection) for connection in ws.config.connections]
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.close(wait=True)


def _side_by_side(pieces: list[Callable[[], object]]) -> None:
    """Every lane at the same time; one that fails stops no other, and its failure is raised in the end."""
    errors: list[BaseException] = []

    def run(piece: Callable[[], object]) -> None:
        try:
            piece()
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(piece,)) for piece in pieces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class Scheduler:
    """Runs a workspace until it is told to stop."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.lanes = [Lane(ws, connection) for connection in ws.config.connections]
        # Each connection has threads of its own, so that a portal that hangs starves no other.
        executors = {lane.connection: ThreadPoolExecutor(2) for lane in self.lanes}
        self._jobs = BackgroundScheduler(
            timezone=dt.UTC,
            executors={"default": ThreadPoolExecutor(4), **executors},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._jobs.add_listener(self._on_error, EVENT_JOB_ERROR)
        self.fatal: BaseException | None = None
        self._stop = threading.Event()

    def start(self) -> None:
        """Fire everything once now, and then each at its interval."""
        for key, source in self.ws.config.sources.items():
            self._every(source.every, partial(self._scan, key))
        self._every(CHECK_EVERY, lambda: work.check_all(self.ws))
        self._every(RECONCILE_EVERY, lambda: work.reconcile_all(self.ws))
        self._every(SWEEP_EVERY, self._sweep)
        for lane in self.lanes:
            connection = self.ws.config.connections[lane.connection]
            self._every(connection.submit_every, lane.submit_due, lane.connection)
            self._every(connection.poll_every, lane.poll, lane.connection)
        self._jobs.start()

    def _every(self, interval: dt.timedelta, job: Callable[[], object], executor: str = "default") -> None:
        self._jobs.add_job(
            job, "interval", seconds=interval.total_seconds(), next_run_time=dt.datetime.now(dt.UTC), executor=executor
        )

    def _scan(self, source: str) -> None:
        for _ in work.scan(self.ws, source):
            pass

    def _sweep(self) -> None:
        reconcile.recover(self.ws, alone=False)
        collect.overdue(self.ws)

    def _on_error(self, event: JobExecutionEvent) -> None:
        if isinstance(event.exception, StoreError):
            self.fatal = event.exception
            self._stop.set()

    def ask_to_stop(self) -> None:
        """Send nothing more; what is on the wire may end."""
        self.ws.cancel.set()
        self._stop.set()

    def wait(self) -> None:
        """Until somebody asks to stop, or the database is gone."""
        while not self._stop.wait(0.5):
            pass

    def stop(self) -> bool:
        """End within the grace: True if all work ended, False if some was abandoned (the next start asks about it)."""
        self.ws.cancel.set()
        self._jobs.pause()
        ends = time.monotonic() + GRACE_SECONDS
        closing = threading.Thread(target=self._close, daemon=True)
        closing.start()
        closing.join(max(0.0, ends - time.monotonic()))
        return not closing.is_alive()

    def _close(self) -> None:
        self._jobs.shutdown(wait=True)
        for lane in self.lanes:
            lane.close(wait=True)


def run(ws: Workspace, started: Callable[[Scheduler], None] = lambda _scheduler: None) -> bool:
    """Work until SIGTERM or SIGINT; True if everything in flight ended. Raises BusyError, StoreError."""
    with alone(ws) as nobody_else:
        reconcile.recover(ws, alone=nobody_else)
        scheduler = Scheduler(ws)

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            scheduler.ask_to_stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        scheduler.start()
        started(scheduler)
        scheduler.wait()
        ended = scheduler.stop()
        if scheduler.fatal is not None:
            raise scheduler.fatal
        return ended
