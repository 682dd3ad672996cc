"""The local pieces of work that a schedule fires or one pass does in turn; each is safe to repeat and to die in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import sqlalchemy as sa

from hub.contract.status import Submission
from hub.delivery import admit, check, reconcile
from hub.delivery.workspace import Workspace
from hub.engine.guard import guarded
from hub.sources import folder
from hub.sources.folder import Fate, Folder, Handled
from hub.sources.read import Refused, read_bytes
from hub.store import tables as t

_log = logging.getLogger(__name__)

Progress = Callable[[str, Iterable[int], int], Iterable[int]]
# Wraps what is worked through: (what, items, how many) gives the items back and shows how far it is.

_BROKEN = Handled(Fate.LATER, "could not be taken in; the log says why, and it is tried again")


def plainly(_what: str, items: Iterable[int], _total: int) -> Iterable[int]:
    """No progress is shown."""
    return items


def scan(ws: Workspace, source: str, *, quiet: float = folder.QUIET_SECONDS) -> Iterator[tuple[str, Handled]]:
    """Take in what lies in one watched folder, until a stop is called. Raises OSError if the folder cannot be used."""

    def handle(name: str, content: bytes, young: bool) -> Handled:  # noqa: FBT001 - the folder's own form
        taken_in = partial(take_in, ws, source, name, content, may_be_unfinished=young)
        return guarded(ws, f"taking in {name}", taken_in) or _BROKEN

    for name, handled in folder.take(Folder(ws.config.sources[source].folder), handle, quiet=quiet):
        level = logging.INFO if handled.fate is Fate.DONE else logging.WARNING
        _log.log(level, "%s %s: %s: %s", source, name, handled.fate, handled.reason or "taken in")
        yield name, handled
        if ws.cancel.is_set():
            return


def take_in(ws: Workspace, source: str, name: str, content: bytes, *, may_be_unfinished: bool = False) -> Handled:
    """Read one file's content into the ledger; durable when this returns."""
    try:
        received = admit.receive(ws, read_bytes(content, name), name, content)
    except Refused as error:
        if error.unfinished and may_be_unfinished:
            return Handled(Fate.LATER, str(error))
        _write_down(ws, source, name, content, outcome="refused", reason=str(error))
        return Handled(Fate.REFUSED, str(error))
    except admit.ConflictError as error:
        _write_down(ws, source, name, content, outcome="refused", reason=str(error))
        return Handled(Fate.REFUSED, str(error))
    _write_down(ws, source, name, content, outcome=received.outcome, revision_id=received.revision_id)
    return Handled(Fate.DONE)


def _write_down(ws: Workspace, source: str, name: str, content: bytes, **became: str | int | None) -> None:
    """Keep what became of a file, unless that is what was kept of it last: a crash may have come before it moved."""
    sha256 = ws.blobs.put(content)
    i = t.intake.c
    with ws.db.writing("work.taken-in") as tx:
        last = tx.execute(
            sa.select(i.outcome, i.reason)
            .where(i.sha256 == sha256, i.source == source, i.name == name)
            .order_by(i.id.desc())
            .limit(1)
        ).one_or_none()
        again = last is not None and became["outcome"] in (last.outcome, admit.Outcome.REPEATED)
        if last is not None and again and last.reason == became.get("reason"):
            return
        file = {"source": source, "name": name, "sha256": sha256, "size": len(content)}
        tx.execute(t.intake.insert().values(**file, **became, at=ws.now()))


def check_all(ws: Workspace, progress: Progress = plainly) -> int:
    """Check what is new or changed, until a stop is called; how many. One that cannot be checked stops no other."""
    ws.refresh()
    due = check.due(ws)
    for submission_id in progress("checking", due, len(due)):
        if ws.cancel.is_set():
            break
        guarded(ws, f"checking submission {submission_id}", partial(check.check, ws, submission_id))
    return len(due)


def doubtful(ws: Workspace) -> dict[str, list[int]]:
    """The submissions in doubt that are to be looked for now, by connection."""
    due = set(reconcile.due(ws))
    s = t.submission.c
    found: dict[str, list[int]] = {}
    if due:
        with ws.db.reading() as tx:
            rows = tx.execute(sa.select(s.id, s.connection).where(s.state == Submission.IN_DOUBT).order_by(s.due_at))
            for row in rows:
                if row.id in due:
                    found.setdefault(row.connection, []).append(row.id)
    return found
