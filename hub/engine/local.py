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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from functools import partial
from pathlib import Path
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from hub.delivery import collect, reconcile
from hub.delivery.registry import CALL_SECONDS
from hub.delivery.workspace import Workspace
from hub.engine import work
from hub.engine.guard import guarded
from hub.engine.lane import Lane, close_lanes, open_lanes
from hub.engine.polling import plan_of
from hub.engine.work import Progress, plainly
from hub.schedule import open_now
from hub.sources.folder import QUIET_SECONDS
from hub.store.database import StoreError

CHECK_EVERY = dt.timedelta(seconds=2)
RECONCILE_EVERY = dt.timedelta(seconds=1)
PLAN_EVERY = dt.timedelta(seconds=5)  # at most so much later than planned is a poll
SWEEP_EVERY = dt.timedelta(minutes=1)
AUDIT_EVERY = dt.timedelta(minutes=5)
GRACE_SECONDS = CALL_SECONDS + 15  # longer than a call to a portal may take in all
_ONE_THREAD = "one thread"
_LOOK_SECONDS = 0.2  # how soon a signal is noticed
_log = logging.getLogger(__name__)


class BusyError(Exception):
    """Another process works this database; two would not send twice, but only one is needed."""


@contextlib.contextmanager
def alone(ws: Workspace) -> Iterator[bool]:
    """Hold the one place at a SQLite file; True where nobody else can be sending. Raises BusyError if it is taken.

    The system lets go of it when the process ends, however it ends.
    """
    if not ws.db.is_sqlite:
        yield False
        return
    database = Path(str(ws.db.url.database)).resolve()  # the same file, whichever link leads to it
    with database.with_name(f"{database.name}.lock").open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            raise BusyError(f"another hub (process {holder}) works {database} already; end it first") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield True


def once(ws: Workspace, progress: Progress = plainly, *, quiet: float = QUIET_SECONDS) -> None:
    """One pass of everything that is due now, in the order of an invoice's life. Raises BusyError, StoreError."""
    with alone(ws) as nobody_else:
        ws.arming.say_so(alone=nobody_else)
        reconcile.recover(ws, alone=nobody_else)
        lanes = open_lanes(ws)
        try:
            for source in ws.config.sources:
                guarded(ws, f"scanning {source}", partial(_scan, ws, source, quiet=quiet))
            _all("reconciling", _looks(ws, lanes), progress)
            _check_and_deliver(ws, lanes, progress)
            _all("collecting statuses", [asked for lane in _readable(ws, lanes) for asked in lane.poll()], progress)
            _check_and_deliver(ws, lanes, progress)
            guarded(ws, "looking for what is overdue", partial(collect.overdue, ws))
            _all("looking again", _audits(ws, lanes), progress)
        except BaseException:
            ws.cancel.set()  # nothing more goes out, not even what a lane has begun but not yet sent
            raise
        finally:
            close_lanes(lanes.values(), seconds=GRACE_SECONDS)


def _scan(ws: Workspace, source: str, *, quiet: float = QUIET_SECONDS) -> None:
    try:
        for _ in work.scan(ws, source, quiet=quiet):
            pass
    except OSError as error:
        _log.error("the folder of source %s cannot be used: %s", source, error)


def _readable(ws: Workspace, lanes: dict[str, Lane]) -> list[Lane]:
    """The lanes whose portals may be asked now."""
    at, connections = ws.now(), ws.config.connections
    return [lane for key, lane in lanes.items() if open_now(connections[key].polling.calendars, at)]


def _looks(ws: Workspace, lanes: dict[str, Lane]) -> list[Future[int]]:
    """A look at everything in doubt whose time has come; what has no lane, or a closed portal, stays in doubt.

    Business hours hold for submits alone: whether something arrived is to be known soon.
    """
    doubtful = work.doubtful(ws)
    return [asked for lane in _readable(ws, lanes) for asked in lane.reconcile(doubtful.get(lane.connection, ()))]


def _audits(ws: Workspace, lanes: dict[str, Lane]) -> list[Future[int]]:
    """A look at what seemed settled and may have changed unnoticed, as far as it is due."""
    return [asked for lane in _readable(ws, lanes) for asked in lane.audit()]


def _check_and_deliver(ws: Workspace, lanes: dict[str, Lane], progress: Progress) -> None:
    """Until nothing more can go: what was sent may be what a credit waited for."""
    delivered = 1
    while delivered:
        work.check_all(ws, progress)
        delivered = _all("delivering", [asked for lane in lanes.values() for asked in lane.deliver_due()], progress)


def _all(what: str, asked: list[Future[int]], progress: Progress) -> int:
    """Wait for everything that was asked, side by side; what it comes to. Raises what the first that failed raised."""
    return sum(progress(what, (each.result() for each in as_completed(asked)), len(asked)))


class Scheduler:
    """Runs a workspace until it is told to stop."""

    def __init__(self, ws: Workspace) -> None:
        self.ws = ws
        self.lanes = open_lanes(ws)
        self.fatal: BaseException | None = None
        self._told_to_stop = False  # a plain flag: a signal may come while this very thread holds any lock
        # Of a job that is still running when it is due again nothing need be said: it does all that is due.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        # Its jobs only read folders and the ledger and ask the lanes; no job waits for a portal. Those that use a
        # connector to prepare or to know its settings share one thread, and so one connector for each connection.
        self._jobs = BackgroundScheduler(
            timezone=dt.UTC,
            executors={"default": ThreadPoolExecutor(4 + len(ws.config.sources)), _ONE_THREAD: ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Fire everything once now, and then each at its interval."""
        ws = self.ws
        for key, source in ws.config.sources.items():
            self._every(source.every, f"scanning {key}", partial(_scan, ws, key))
        self._every(CHECK_EVERY, "checking", partial(work.check_all, ws), _ONE_THREAD)
        self._every(SWEEP_EVERY, "recovering", partial(reconcile.recover, ws, alone=False), _ONE_THREAD)
        self._every(SWEEP_EVERY, "looking for what is overdue", partial(collect.overdue, ws), _ONE_THREAD)
        self._every(RECONCILE_EVERY, "reconciling", lambda: self._heed(_looks(ws, self.lanes)))
        self._every(AUDIT_EVERY, "looking again", lambda: self._heed(_audits(ws, self.lanes)), _ONE_THREAD)
        for key, lane in self.lanes.items():
            connection = ws.config.connections[key]
            self._every(connection.submit_every, f"delivering by {key}", partial(self._asking, lane.deliver_due))
            told = ws.portal(key).for_reading().capabilities
            if told.statuses:
                poll = partial(self._poll, lane, by_customer=told.statuses_by_customer)
                self._every(min(connection.poll_every, PLAN_EVERY), f"collecting from {key}", poll)
        self._jobs.start()

    def _poll(self, lane: Lane, *, by_customer: bool) -> None:
        """Ask for the statuses whose turn it is; the ledger says when each was last asked for."""
        if not lane.is_paused() and (due := plan_of(self.ws, lane.connection, by_customer=by_customer).due):
            self._heed(lane.poll(due))

    def _every(self, interval: dt.timedelta, what: str, job: Callable[[], object], executor: str = "default") -> None:
        self._jobs.add_job(
            partial(self._fire, what, job),
            "interval",
            seconds=interval.total_seconds(),
            next_run_time=dt.datetime.now(dt.UTC),
            executor=executor,
        )

    def _fire(self, what: str, job: Callable[[], object]) -> None:
        if self.ws.cancel.is_set():
            return
        try:
            guarded(self.ws, what, job)
        except StoreError as error:
            self._fail(error)

    def _asking(self, ask: Callable[[], list[Future[int]]]) -> None:
        self._heed(ask())

    def _heed(self, asked: Iterable[Future[int]]) -> None:
        for each in asked:
            each.add_done_callback(self._settled)

    def _settled(self, asked: Future[int]) -> None:
        error = None if asked.cancelled() else asked.exception()
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.fatal = self.fatal or error
        self.ask_to_stop()

    def ask_to_stop(self) -> None:
        """Send nothing more; what is on the wire may end. Safe in a signal handler."""
        self._told_to_stop = True

    def wait(self) -> None:
        """Until somebody asks to stop, or the database is gone."""
        while not self._told_to_stop:
            time.sleep(_LOOK_SECONDS)

    def stop(self, *, grace: float = GRACE_SECONDS) -> bool:
        """End within the grace: True if all work ended, False if some was abandoned (the next start asks about it)."""
        self.ws.cancel.set()
        ends = time.monotonic() + grace
        closing = threading.Thread(target=self._close_jobs, daemon=True)
        closing.start()
        ended = close_lanes(self.lanes.values(), seconds=grace)
        closing.join(max(0.0, ends - time.monotonic()))
        return ended and not closing.is_alive()

    def _close_jobs(self) -> None:
        if self._jobs.running:
            self._jobs.shutdown(wait=True)


@contextlib.contextmanager
def _signals(heard: Callable[[], None]) -> Iterator[None]:
    """Within, SIGTERM and Ctrl-C are heard; afterwards they do what they did before: a second one ends it all."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        heard()

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    ws: Workspace,
    started: Callable[[Scheduler], None] = lambda _scheduler: None,
    *,
    grace: float = GRACE_SECONDS,
) -> bool:
    """Work until SIGTERM or SIGINT; True if everything in flight ended. Raises BusyError, StoreError."""
    with alone(ws) as nobody_else:
        ws.arming.say_so(alone=nobody_else)
        reconcile.recover(ws, alone=nobody_else)
        scheduler = Scheduler(ws)
        ended = True
        try:
            with _signals(scheduler.ask_to_stop):
                scheduler.start()
                started(scheduler)
                scheduler.wait()
        finally:
            ended = scheduler.stop(grace=grace)
        if scheduler.fatal is not None:
            raise scheduler.fatal
        return ended
