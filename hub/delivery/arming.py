"""Whether this copy of the ledger may send from this machine (architecture, decision 6).

A restored backup has forgotten what it sent, and of two copies each would send everything. So the ledger keeps in its
one `instance` row who it is and where it was armed, and this machine keeps the same, and how far the ledger had come,
in a state file that neither the workspace nor a backup of it holds:

    the row says another place          a copy, or moved            the ledger is disarmed
    it is behind the state file         restored                    the ledger is disarmed
    no state file, or not of this copy  this machine knows nothing  this process sends nothing

What is wrong with the ledger itself is written into it and stops everyone who works it; what this machine does not
know stops this process alone, for a PostgreSQL ledger may be right for the machine beside it. A person arms it again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
import os
import secrets
import socket
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub import durable
from hub.contract.errors import Scope, Transient
from hub.contract.status import Delivered
from hub.delivery import ledger
from hub.delivery.marks import DamagedError, Header, Marks
from hub.store import tables as t
from hub.store.database import Database, StoreError

FOLDER = "HUB_STATE"
INSTANCE = "instance"  # what transitions call it
_MACHINE_ID = Path("/etc/machine-id")
_HISTORY = ""  # the mark of the ledger's own length: what people did without an attempt is not forgotten unnoticed
_NOT_NOW = "; nothing is sent until a person has run `hub arm`"
_INSTANCE = sa.select(t.instance)  # asked right before the wire
_log = logging.getLogger(__name__)


class ArmError(Exception):
    """It was not armed, or not stopped; says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where a ledger lies: as it can tell itself, the same from every machine, and as this machine reaches it."""

    told: str
    reached: str


@dataclass(frozen=True)
class Verdict:
    """What speaks against sending: in the ledger itself, and on this machine; neither where it may send."""

    instance: str
    armed: bool
    ledger: str | None
    here: str | None
    lost: str | None = None  # what the ledger has forgotten, as far as this machine knows
    marks: Marks | None = None


def state_folder(workspace: Path) -> Path:
    """Where this machine keeps its state files. Raises OSError where there is no such place."""
    said = os.environ.get(FOLDER)
    if said:
        folder = Path(said)
        if not folder.is_absolute() or folder.resolve().is_relative_to(workspace.resolve()):
            raise OSError(f"{FOLDER} is {said}; name a whole path outside the workspace, where no copy of it is made")
        return folder
    home = Path(os.environ.get("XDG_STATE_HOME", ""))
    if home.is_absolute():
        return home / "portal-hub"
    try:
        return Path.home() / ".local" / "state" / "portal-hub"
    except RuntimeError:
        raise OSError("this user has no home folder") from None


def host() -> str:
    """What tells this machine from others, hashed: its machine id, or its name where it has none (a container)."""
    try:
        known = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if len(known) < len("uninitialized") or known == "uninitialized":
        known = socket.gethostname()
    return hashlib.sha256(f"portal-hub {known}".encode()).hexdigest()[:16]


def place_of(db: Database, tx: Connection) -> Place:
    """The SQLite file, or which of all PostgreSQL databases this is: a dump that is read in again is another."""
    if db.is_sqlite:
        path = str(Path(str(db.url.database)).resolve())
        return Place(path, path)
    may = "SELECT has_function_privilege('pg_control_system()', 'execute')"
    server = "SELECT system_identifier FROM pg_control_system()"
    of_server = tx.exec_driver_sql(server).scalar_one() if tx.exec_driver_sql(may).scalar_one() else "unknown"
    ours = "SELECT oid, 'instance'::regclass::oid FROM pg_database WHERE datname = current_database()"
    told = "postgresql {}/{}/{}".format(of_server, *tx.exec_driver_sql(ours).one())
    at = db.url.host or db.url.query.get("host") or "local"
    return Place(told, f"{at}:{db.url.port or 5432}/{db.url.database} {told}")


@dataclass
class Arming:
    """Whether this process may send. Threads share it."""

    db: Database
    now: Callable[[], dt.datetime]
    workspace: Path
    folder: Path | None = None  # of the state files; None: as the environment says
    instance: str = ""
    refused: str | None = "this workspace is not open"  # why this process sends nothing; None where it may
    _marks: Marks | None = None

    def enter(self, tx: Connection, *, taken_in: Path | None) -> None:
        """Judge the ledger at its opening; a new one is armed, unless a folder shows that an earlier one worked."""
        if _row(tx) is None:
            self._begin(tx, taken_in)
            return
        verdict = self.judge(tx)
        at = self.now()
        if verdict.ledger:
            disarm(tx, why=verdict.ledger, actor=ledger.HUB, at=at)
        elif verdict.here and verdict.armed and _last_said(tx) != verdict.here:
            ledger.note(tx, INSTANCE, at=at, actor=ledger.HUB, why=verdict.here)
        if verdict.here and verdict.armed and not verdict.ledger:
            _log.info("nothing is sent from here: %s", verdict.here)
        self._adopt(verdict)

    def _begin(self, tx: Connection, taken_in: Path | None) -> None:
        """A new ledger: its row, and before that its state file, so that no armed ledger is without one."""
        at, here = self.now(), place_of(self.db, tx)
        new = Header(secrets.token_hex(16), host(), here.reached)
        why, marks = None, None
        if taken_in is not None:
            why = f"the ledger is new, but {taken_in} holds what an earlier one took in and may have sent{_NOT_NOW}"
        else:
            try:
                marks = Marks.make(self._file(new.instance), new, {})
            except OSError as error:
                why = _unusable(error)
        tx.execute(
            t.instance.insert().values(
                id=new.instance,
                host=new.host,
                place=here.told,
                created_at=at,
                armed=why is None,
                armed_at=at if why is None else None,
                armed_by=ledger.HUB if why is None else None,
                disarmed_why=why,
            )
        )
        after = "armed" if why is None else "disarmed"
        ledger.note(tx, INSTANCE, after=after, at=at, actor=ledger.HUB, why=why or "a new workspace")
        self._adopt(Verdict(new.instance, why is None, why, None, marks=marks))

    def judge(self, tx: Connection) -> Verdict:
        """What speaks against sending; nothing is written."""
        row = _row(tx)
        if row is None:
            return Verdict("", armed=False, ledger="the ledger is empty", here=None)
        here = place_of(self.db, tx)
        wrong, marks = self._known_here(row.id, here.reached)
        lost = _forgotten(tx, marks.known()) if marks is not None else None
        bad = self._moved(row, here) or (lost if wrong is None else None)
        return Verdict(row.id, bool(row.armed), bad, wrong, lost, marks if wrong is None else None)

    def _moved(self, row: Row[Any], here: Place) -> str | None:
        """Why the ledger is not where it was armed."""
        if row.place is None:
            return f"it was last used by a version of the hub that did not watch for copies{_NOT_NOW}"
        if self.db.is_sqlite and row.host != host():
            return f"it was armed on another machine (as {row.place}), so this is a copy or was moved{_NOT_NOW}"
        if row.place != here.told:
            was = (
                f"it was armed as {row.place} and is now {here.told}" if self.db.is_sqlite else "it was armed elsewhere"
            )
            return f"{was}, so this is a copy, was moved or was restored{_NOT_NOW}"
        return None

    def _known_here(self, instance: str, place: str) -> tuple[str | None, Marks | None]:
        """What this machine's state file says against sending, and the file."""
        try:
            file = self._file(instance)
            marks = Marks.read(file)
        except FileNotFoundError:
            return f"this machine, or this user of it, has no state file of the ledger in {file.parent}{_NOT_NOW}", None
        except DamagedError as error:
            return f"{error}, so what this ledger has sent is not known{_NOT_NOW}", None
        except OSError as error:
            return _unusable(error), None
        if marks.header != Header(instance, host(), place):
            told = f"{marks.path} is of a ledger at {marks.header.place}"
            return f"{told}, on this machine or another, and this one is at {place}{_NOT_NOW}", marks
        return None, marks

    def _file(self, instance: str) -> Path:
        return (self.folder or state_folder(self.workspace)) / f"{instance}.marks"

    def _adopt(self, verdict: Verdict) -> None:
        self.instance, self._marks = verdict.instance, verdict.marks
        self.refused = verdict.ledger or verdict.here

    def may_send(self) -> bool:
        """Whether deliveries may begin; asked before each pass, for a person may have armed or stopped it since."""
        known = self._marks.known() if self._marks else {}
        with self.db.reading() as tx:
            row = _row(tx)
            if row is None or not row.armed:
                return False
            if self.refused or row.id != self.instance:
                self._adopt(self.judge(tx))
                return self.refused is None
            lost = _forgotten(tx, known)
        if lost:
            self.refused = lost
            _log.error("nothing more is sent: %s", lost)
            with self.db.writing("arming.behind") as tx:
                disarm(tx, why=lost, actor=ledger.HUB, at=self.now())
        return not lost

    def say_so(self, *, alone: bool) -> None:
        """A worker begins: if nothing is sent it says so. `alone`: nobody else works, so its doubt is the ledger's."""
        if alone and self.refused:
            with self.db.writing("arming.said") as tx:
                disarm(tx, why=self.refused, actor=ledger.HUB, at=self.now())
        with self.db.reading() as tx:
            why = self.refusal(tx)
        if why:
            _log.warning("nothing is sent: %s", why)

    def refusal(self, tx: Connection) -> str | None:
        """Why nothing may go to the wire at this moment; None if it may."""
        row = _row(tx)
        if row is None or not row.armed:
            return (row and row.disarmed_why) or "a person must arm this workspace first"
        return self.refused if row.id == self.instance else "the workspace was armed anew meanwhile"

    def raise_to(self, connection: str, mark: int) -> None:
        """A connection has come so far; durable on this machine when this returns. Raises Transient: nothing may go."""
        why = self.refused
        if self._marks is not None:
            try:
                self._marks.raise_to(connection, mark)
            except OSError as error:
                why = _unusable(error)
        if why:
            raise Transient(f"not sent: {why}", delivered=Delivered.NO, scope=Scope.INVOICE)

    def leave(self) -> None:
        """Remember how long the ledger has become; where that cannot be written, the marks alone must do."""
        if self._marks is None or self.refused:
            return
        with contextlib.suppress(OSError, StoreError, sa.exc.SQLAlchemyError), self.db.reading() as tx:
            row = _row(tx)
            if row is not None and row.armed and row.id == self.instance:
                self._marks.raise_to(_HISTORY, _length(tx))

    def joins(self, verdict: Verdict) -> bool:
        """Whether the ledger is right and at work, and only this machine does not know it yet (PostgreSQL)."""
        return not self.db.is_sqlite and verdict.armed and verdict.ledger is None

    def arm(self, tx: Connection, *, actor: str, why: str) -> Callable[[], None]:
        """Arm this copy under a new identity, which no other copy has; call the result once this is committed.

        A PostgreSQL ledger that is armed, and only unknown to this machine, keeps its identity: the machine joins.
        Raises OSError where no state file can be written.
        """
        at, here, row, verdict = self.now(), place_of(self.db, tx), _row(tx), self.judge(tx)
        if row is None:
            raise ArmError("the ledger is empty")
        joins = self.joins(verdict)
        new = Header(row.id if joins else secrets.token_hex(16), host(), here.reached)
        marks = Marks.make(self._file(new.instance), new, _marks_of(tx))
        if not joins:
            armed = {"armed": True, "armed_at": at, "armed_by": actor, "disarmed_why": None}
            tx.execute(t.instance.update().values(id=new.instance, host=new.host, place=here.told, **armed))
        before = "armed" if row.armed else "disarmed"
        said = f"{why}; {socket.gethostname()} joins" if joins else why
        ledger.note(tx, INSTANCE, before=before, after="armed", at=at, actor=actor, why=said)

        def done() -> None:
            self._adopt(Verdict(new.instance, True, None, None, marks=marks))  # noqa: FBT003 - armed
            gone = self.db.is_sqlite and row.place is not None and not Path(row.place).exists()
            if not joins and (row.place in (None, here.told) or gone):
                # The ledger of that name is no more; should it come back, it must not find itself known.
                self._file(row.id).unlink(missing_ok=True)
                durable.landed("arming.retired")

        return done

    def armed_twin(self, tx: Connection) -> str | None:
        """Where on this machine the ledger lies that this one is a copy of, if that one may send."""
        row = _row(tx)
        if not self.db.is_sqlite or row is None or row.place in (None, place_of(self.db, tx).told):
            return None
        if row.host != host() or not Path(row.place).exists():
            return None
        url = f"{Path(row.place).as_uri()}?mode=ro"
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(url, uri=True)) as other:
            if (row.id, 1) in other.execute("SELECT id, armed FROM instance").fetchall():
                return str(row.place)
        return None

    def last_known_send(self, tx: Connection) -> dt.datetime:
        """Until when something may have been sent that the ledger has forgotten."""
        with contextlib.suppress(OSError):
            return dt.datetime.fromtimestamp(self._file(self.instance).stat().st_mtime, dt.UTC)
        return disarmed_since(tx) or self.now()


def _row(tx: Connection) -> Row[Any] | None:
    return tx.execute(_INSTANCE).first()


def _marks_of(tx: Connection) -> dict[str, int]:
    return {row.key: row.mark for row in tx.execute(sa.select(t.connection.c.key, t.connection.c.mark))}


def _length(tx: Connection) -> int:
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(t.transition.c.id), 0))).scalar_one())


def _forgotten(tx: Connection, known: Mapping[str, int]) -> str | None:
    """What this machine knows of and the ledger does not."""
    has = _marks_of(tx)
    lost = [
        f"{mark - has.get(key, 0)} attempts by {key}"
        for key, mark in known.items()
        if key != _HISTORY and has.get(key, 0) < mark
    ]
    if (missing := known.get(_HISTORY, 0) - _length(tx)) > 0:
        lost.append(f"{missing} entries of its history")
    return f"the ledger has forgotten {', '.join(lost)}, as after restoring a backup{_NOT_NOW}" if lost else None


def _last_said(tx: Connection) -> str | None:
    x = t.transition.c
    said: str | None = tx.execute(sa.select(x.why).where(x.subject == INSTANCE).order_by(x.id.desc())).scalars().first()
    return said


def disarmed_since(tx: Connection) -> dt.datetime | None:
    """When it was first noticed or said, since it was last armed, that nothing may be sent."""
    x = t.transition.c
    armed = sa.select(sa.func.coalesce(sa.func.max(x.id), 0)).where(x.subject == INSTANCE, x.after == "armed")
    since = sa.select(x.at).where(x.subject == INSTANCE, x.id > armed.scalar_subquery()).order_by(x.id)
    found: dt.datetime | None = tx.execute(since).scalars().first()
    return found


def disarm(tx: Connection, *, why: str, actor: str, at: dt.datetime) -> bool:
    """Let nothing more be sent from this ledger; False if it is disarmed already, and then its first reason stands."""
    done = tx.execute(t.instance.update().where(t.instance.c.armed.is_(True)).values(armed=False, disarmed_why=why))
    if done.rowcount:
        ledger.note(tx, INSTANCE, before="armed", after="disarmed", at=at, actor=actor, why=why)
    return bool(done.rowcount)


def _unusable(error: OSError) -> str:
    """What is wrong with the folder of state files, and what to do."""
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return (
        f"the state file of this machine cannot be kept ({what}); set {FOLDER} to a folder outside the workspace that "
        "can be written, then run `hub arm`"
    )
