"""What must be looked for before a person arms the workspace: what its ledger may have forgotten.

    inboxes and done folders, read again ─► statuses, collected ─► checked ─► each open or refused one looked up
                                                                                      │
    a person looks for what no portal can prove absent  ◄─── armed, by a person ◄─────┘

What a restored ledger forgot comes back as a new document; before it could go, its portal is asked for it. Nothing is
sent here, and all of it may be done again and again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.connector import Lookup
from hub.contract.errors import Reason
from hub.contract.invoice import number_key
from hub.contract.status import Submission
from hub.delivery import arming, asking, audit, collect, ledger, reconcile
from hub.delivery.arming import ArmError
from hub.delivery.asking import TaskKind
from hub.delivery.audit import Looked, Outcome
from hub.delivery.lifecycle import Happening
from hub.delivery.workspace import Workspace
from hub.engine import local, work
from hub.engine.work import Progress, plainly
from hub.sources.folder import MAX_BYTES, Fate, Folder
from hub.store import tables as t

S = Submission
_MAY_GO = (S.DRAFT, S.HELD, S.READY)  # what would be sent, at once or after a correction
_NOT_THERE_YET = (*_MAY_GO, S.WITHDRAWN, S.SUPERSEDED)
_FEW = 5  # documents that a line can name


@dataclass
class Found:
    """What the look came to. `hinders`: why it is not to be armed yet, by connection, source or file."""

    forgotten: int = 0  # files of the done folders that were read anew
    left: list[str] = field(default_factory=list)  # files that could not be taken in, and why
    looks: Counter[Outcome] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)  # what the portals show otherwise than the ledger
    looked: set[int] = field(default_factory=set)
    hinders: dict[str, str] = field(default_factory=dict)
    strangers: dict[str, list[str]] = field(default_factory=dict)  # by connection: documents there, unknown here
    for_people: list[int] = field(default_factory=list)


def look(
    ws: Workspace, *, by_hand: frozenset[str] = frozenset(), trusted: bool = False, progress: Progress = plainly
) -> Found:
    """Look for what may have been forgotten. Raises ArmError where it cannot be armed at all, StoreError.

    `by_hand`: connections whose portals cannot be asked now, so that people look there. `trusted`: a person vouches
    that nothing was sent that this ledger does not know.
    """
    found = Found()
    with ws.db.reading() as tx:
        twin = ws.arming.armed_twin(tx)
        lost = ws.arming.judge(tx).lost
    if twin is not None:
        raise ArmError(f"this is a copy of the workspace at {twin}, which is armed and sends; stop that one first")
    if trusted and lost is not None:
        raise ArmError(f"{lost.partition(';')[0]}; arm it without --nothing-lost")
    _recover(ws)
    _take_in(ws, found)
    _ask_portals(ws, found, by_hand, trusted, progress)
    with ws.db.reading() as tx:
        if not trusted:
            found.strangers = _strangers(tx, arming.disarmed_since(tx))
            found.for_people = _for_people(tx, ws, by_hand)
        _see_to_drafts(tx, found)
    return found


def arm(ws: Workspace, found: Found, *, by: str, why: str, by_hand: frozenset[str], trusted: bool) -> None:
    """Arm it, as a person says, and in the same transaction keep from going what nobody can vouch for.

    Raises ArmError where something hinders it, OSError where this machine cannot keep its state file.
    """
    if found.hinders:
        raise ArmError("; ".join(f"{what}: {told}" for what, told in found.hinders.items()))
    at, actor = ws.now(), f"person:{by}"
    with ws.db.writing("before_arming.armed") as tx:
        if not trusted:
            _nothing_came_meanwhile(tx, ws, found, by_hand)
            for key, documents in found.strangers.items():
                ledger.pause(tx, t.connection, key, at=at, actor=actor, why=strange(key, documents))
            for submission_id in _for_people(tx, ws, by_hand):
                _ask_a_person(tx, submission_id, at=at, actor=actor)
        done = ws.arming.arm(tx, actor=actor, why=why)
    done()


def _recover(ws: Workspace) -> None:
    """What was being sent when this ledger was copied or left is in doubt."""
    with suppress(local.BusyError), local.alone(ws) as nobody_else:
        reconcile.recover(ws, alone=nobody_else)
        return
    reconcile.recover(ws, alone=False)


def _take_in(ws: Workspace, found: Found) -> None:
    """Every inbox, as always, and every done folder once more; its files stay where they are."""
    known = _known_files(ws)
    folders: set[Path] = set()
    for source, configured in ws.config.sources.items():
        folder = Folder(configured.folder)
        try:
            for _ in work.scan(ws, source):
                pass
            if folder.done not in folders:
                _read_again(ws, source, folder.done, known, found)
        except OSError as error:
            found.hinders[f"source {source}"] = f"cannot be read: {error}; mend it, or take it out of hub.yaml"
        folders.add(folder.done)
    work.check_all(ws)


def _known_files(ws: Workspace) -> set[str]:
    with ws.db.reading() as tx:
        taken = sa.select(t.intake.c.sha256).where(t.intake.c.outcome != "refused")
        return {*tx.execute(taken).scalars(), *tx.execute(sa.select(t.revision.c.source_sha256)).scalars()}


def _read_again(ws: Workspace, source: str, done: Path, known: set[str], found: Found) -> None:
    """Take in what the ledger does not know, in the order in which it came. Raises OSError."""
    for path in _files(done):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() in known:
            continue
        handled = work.take_in(ws, source, path.name, content)
        if handled.fate is Fate.DONE:
            found.forgotten += 1
        else:
            found.left.append(f"{path}: {handled.reason}")


def _files(done: Path) -> Iterator[Path]:
    if not done.is_dir():
        return
    files = [(path, path.stat()) for path in done.iterdir() if path.is_file() and not path.is_symlink()]
    for path, about in sorted(files, key=lambda one: (one[1].st_mtime_ns, one[0].name)):
        if about.st_size <= MAX_BYTES:
            yield path


def _ask_portals(ws: Workspace, found: Found, by_hand: frozenset[str], trusted: bool, progress: Progress) -> None:  # noqa: FBT001
    """Collect each connection's statuses, then look up what is open or refused there; portals side by side."""
    with ws.db.reading() as tx:
        last = ws.arming.last_known_send(tx)
        going = set(tx.execute(sa.select(t.submission.c.connection).where(t.submission.c.state.in_(_MAY_GO))).scalars())
    with ExitStack() as open_:
        asked: list[Future[Looked | None]] = []
        for key in ws.config.connections:
            if key in by_hand:
                continue
            ready = last + ws.settles_within(key)
            if key in going and not trusted and _can_prove(ws, key) and ws.now() < ready:
                told = f"its search may not show yet what was sent last; run this again after {ready:%H:%M:%S} UTC"
                found.hinders[key] = told
                continue
            lane = open_.enter_context(ThreadPoolExecutor(1, thread_name_prefix=key))
            asked.append(lane.submit(_collect, ws, key, found))
            rows = audit.open_rows(ws, t.submission.c.connection == key, t.submission.c.state != S.IN_DOUBT)
            asked += [lane.submit(_look_up, ws, key, one, found) for one in rows]
        for _ in progress(
            "asking the portals", (_note(found, one.result()) for one in as_completed(asked)), len(asked)
        ):
            pass


def _note(found: Found, looked: Looked | None) -> int:
    """Count one look in; raises nothing."""
    if looked is not None:
        found.looks[looked.outcome] += 1
        if looked.outcome is not Outcome.COULD_NOT_ASK:
            found.looked.add(looked.submission_id)
        if looked.outcome not in {Outcome.AGREES, Outcome.NO_LOOKUP}:
            found.told.append(f"{looked.number} ({looked.connection}): {looked.words}")
    return 1


def _collect(ws: Workspace, key: str, found: Found) -> None:
    portal = ws.portal(key)
    with portal.slot():
        collect.collect(ws, key)
    c = t.connection.c
    with ws.db.reading() as tx:
        failed = tx.execute(sa.select(c.poll_error).where(c.key == key)).scalar_one()
    if failed is not None:
        found.hinders[key] = f"could not be asked for statuses: {failed}"


def _look_up(ws: Workspace, key: str, submission_id: int, found: Found) -> Looked | None:
    """Look up one invoice, unless its portal could not be asked before."""
    if key in found.hinders:
        return None
    looked = audit.look(ws, submission_id)
    if looked.outcome is Outcome.COULD_NOT_ASK and _state(ws, submission_id) in _MAY_GO:
        found.hinders[key] = f"{looked.number}: {looked.words}"
    return looked


def _state(ws: Workspace, submission_id: int) -> str:
    with ws.db.reading() as tx:
        return str(tx.execute(sa.select(t.submission.c.state).where(t.submission.c.id == submission_id)).scalar_one())


def _can_prove(ws: Workspace, key: str) -> bool:
    """Whether a portal can be asked, and an absence there is one."""
    return ws.portal(key).for_reading().capabilities.lookup is Lookup.EXACT


def _for_people(tx: Connection, ws: Workspace, by_hand: frozenset[str]) -> list[int]:
    """What may have been sent and forgotten, at portals that cannot prove that it was not."""
    proved = [key for key in ws.config.connections if key not in by_hand and _can_prove(ws, key)]
    s, k = t.submission.c, t.task.c
    keyed_in = sa.exists().where(k.submission_id == s.id, k.kind == TaskKind.KEY_IN, k.answered_at.is_(None))
    waits = sa.or_(
        s.state.in_((S.HELD, S.READY, S.IN_DOUBT)),
        sa.and_(s.state == S.NEEDS_HUMAN, keyed_in),  # somebody may have keyed it in since
    )
    query = sa.select(s.id).where(waits, sa.or_(s.connection.is_(None), s.connection.not_in(proved)))
    return list(tx.execute(query.order_by(s.id)).scalars())


_WHY = "the ledger may have forgotten that it was sent, and no portal can prove that it was not"


def _ask_a_person(tx: Connection, submission_id: int, *, at: dt.datetime, actor: str) -> None:
    row = ledger.lock(tx, submission_id)
    if row.state == S.NEEDS_HUMAN:
        kinds = (TaskKind.KEY_IN,)
        asking.close_tasks(tx, row.id, kinds, at=at, by=actor, answer="look first whether it is there already")
    else:
        # Without a first attempt it is checked anew after the answer, for what held it may hold it still.
        values: dict[str, Any] = {"requirements_version": None} if row.first_attempt_at is None else {}
        ledger.move(tx, row.id, Happening.STUCK, at=at, actor=actor, why=_WHY, reason=Reason(_WHY), **values)
    asking.ask_to_look(tx, row.id, at=at, why=_WHY)


def _see_to_drafts(tx: Connection, found: Found) -> None:
    """What could not even be checked has no portal that could be asked."""
    s = t.submission.c
    drafts = tx.execute(sa.select(sa.func.count()).where(s.state == S.DRAFT)).scalar_one()
    if drafts:
        found.hinders["checking"] = f"{drafts} invoices could not be checked; the log says why"


def _nothing_came_meanwhile(tx: Connection, ws: Workspace, found: Found, by_hand: frozenset[str]) -> None:
    """Raises ArmError where something could go that nobody looked for, and its portal would not be asked first."""
    s = t.submission.c
    proved = [key for key in ws.config.connections if key not in by_hand and _can_prove(ws, key)]
    going = sa.or_(
        s.state == S.SENDING, sa.and_(s.state == S.READY, s.connection.in_(proved), s.first_attempt_at.is_not(None))
    )
    new = set(tx.execute(sa.select(s.id).where(going)).scalars()) - found.looked
    if new:
        raise ArmError(f"{len(new)} invoices moved while the portals were asked; run it again in a minute")


def _strangers(tx: Connection, since: dt.datetime | None) -> dict[str, list[str]]:
    """What the portals spoke of since the ledger was disarmed, and no document that went out from here bears."""
    e, s, r = t.event.c, t.submission.c, t.revision.c
    unmatched = sa.select(e.connection, e.number, e.portal_id).where(e.submission_id.is_(None))
    if since is not None:
        unmatched = unmatched.where(e.stored_at >= since)
    went = sa.select(s.connection, r.shown_number).join(t.revision, s.revision_id == r.id)
    events = tx.execute(unmatched.distinct()).all()
    if not events:
        return {}
    known = {
        (row.connection, number_key(row.shown_number)) for row in tx.execute(went.where(s.state.not_in(_NOT_THERE_YET)))
    }
    strangers: dict[str, list[str]] = {}
    for event in events:
        if event.number is None or (event.connection, number_key(event.number)) not in known:
            named = strangers.setdefault(event.connection, [])
            name = event.number or event.portal_id or "without a number"
            named += [name] if name not in named else []
    return strangers


def strange(key: str, documents: list[str]) -> str:
    """Why a connection stands still that speaks of documents unknown here."""
    named = ", ".join(documents[:_FEW]) + (" …" if len(documents) > _FEW else "")
    return (
        f"its portal speaks of {len(documents)} documents that are unknown here ({named}): they may have been sent and "
        f"forgotten. Bring these invoices in again, or see that nobody sends them, then run `hub check {key}`"
    )
