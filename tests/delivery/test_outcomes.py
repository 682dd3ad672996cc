"""What may become of a submit, at every kind of portal: one document or one question, and the ledger knows which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest
from delivery_house import House, Lane, invoice, open_tasks, receive, row, work
from portal_in_memory import PORTALS, Act, Death, Portal, raises

from hub.contract.connector import FoundState, Lookup, Repeat
from hub.contract.errors import (
    AuthFailed,
    Duplicate,
    NeedsHuman,
    PortalChanged,
    Reason,
    Rejected,
    Scope,
    Transient,
)
from hub.contract.status import Delivered
from hub.delivery import ledger, reconcile, tasks
from hub.delivery.deliver import LEASE
from hub.delivery.evidence import verify
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t

NO, UNKNOWN, YES = Delivered.NO, Delivered.UNKNOWN, Delivered.YES
WHY = (Reason("line 3 is wrong"),)


def rejected(delivered: Delivered = NO) -> Rejected:
    return Rejected("no", reasons=WHY, delivered=delivered)


def lost(delivered: Delivered = UNKNOWN) -> Transient:
    return Transient("the line went dead", delivered=delivered)


def human(scope: Scope) -> NeedsHuman:
    return NeedsHuman("there are new terms", action="accept them", scope=scope)


# What happens at the submits, one after the other; after these the portal takes whatever comes.
OUTCOMES: dict[str, list[Act]] = {
    "ok": [],
    "rejected": [raises(rejected)],
    "duplicate of nothing": [raises(lambda: Duplicate("we have it", reasons=WHY))],
    "not delivered": [raises(lambda: lost(NO)), raises(lambda: lost(NO))],
    "unknown, arrived": [raises(lost, arrives=True)],
    "unknown, lost": [raises(lost)],
    "unknown, lost for hours": [raises(lost)] * 5,
    "unknown, then rejected": [raises(lost), raises(rejected)],
    "unknown and arrived, then rejected": [raises(lost, arrives=True), raises(rejected)],
    "rejected, perhaps": [raises(lambda: rejected(UNKNOWN))],
    "it has it, and no answer": [raises(lambda: lost(YES), arrives=True)],
    "login refused": [raises(lambda: AuthFailed("who are you?"))],
    "no relationship": [raises(lambda: AuthFailed("who is that?", scope=Scope.ACCOUNT))],
    "a person for the invoice": [raises(lambda: human(Scope.INVOICE))],
    "a person for the account": [raises(lambda: human(Scope.ACCOUNT))],
    "a person for the connection": [raises(lambda: human(Scope.CONNECTION))],
    "portal changed": [raises(lambda: PortalChanged("no such button", delivered=NO))],
    "portal changed, arrived": [raises(lambda: PortalChanged("no such page", delivered=UNKNOWN), arrives=True)],
    "defect, nothing arrived": [raises(lambda: ValueError("odd"))],
    "defect, arrived": [raises(lambda: ValueError("odd"), arrives=True)],
    "death, nothing arrived": [raises(Death)],
    "death, arrived": [raises(Death, arrives=True)],
}
REFUSED = {"rejected", "unknown, then rejected", "rejected, perhaps"}


def kinds() -> Iterator[tuple[Lane, Repeat, bool]]:
    """Every kind of portal: whether it can be asked, what a repeat does, and whether numbers are unique."""
    for lookup, repeat, unique in product((Lookup.EXACT, Lookup.NONE), Repeat, (False, True)):
        yield Lane(f"{repeat}-{lookup}-{unique}".lower(), {"repeat": repeat, "lookup": lookup}), repeat, unique


def through(house: House, ws: Workspace) -> Workspace:
    """Work until all is done, and go on after every death as a new process does."""
    while True:
        try:
            work(ws, house.clock)
        except Death:
            ws = house.open()
            alone = ws.db.is_sqlite
            if not alone:
                house.clock.now += LEASE
                house.clock.forward(seconds=1)
            reconcile.recover(ws, alone=alone)
        else:
            return ws


def resume_all(ws: Workspace, at: Callable[[], object]) -> None:
    """An admin mends what was paused."""
    with ws.db.writing("test") as tx:
        for table, keys in ((t.connection, ws.config.connections), (t.account, ws.config.accounts)):
            for key in keys:
                ledger.resume(tx, table, key, at=at(), actor="person:ann", why="mended")  # type: ignore[arg-type]


def answer_truly(ws: Workspace, task_id: int, submission_id: int | None, portal: Portal) -> None:
    """A person does what is asked, looks at the portal and says what is there."""
    say, reference = Say.DONE, None
    if submission_id is not None and row(ws, submission_id).state == "needs_human":
        live = portal.live()
        say, reference = (Say.SENT, live[0].portal_id) if live else (Say.NOT_THERE, None)
    tasks.answer(ws, task_id, Spoken(say, "ann", reference))


def agree(ws: Workspace, submission_id: int, portal: Portal, what: str) -> None:
    """The ledger says what is true of the portal."""
    one = row(ws, submission_id)
    live = portal.live()
    asked = [task for task in open_tasks(ws) if task.submission_id == submission_id]
    assert len(live) <= 1, f"{what}: {len(live)} documents"
    assert one.state in ("sent", "accepted", "refused", "needs_human", "ready"), f"{what}: {one.state}"
    assert (one.lease_owner, one.lease_until) == (None, None), what
    if one.state in ("sent", "accepted"):
        assert len(live) == 1, f"{what}: {one.state}, and nothing is there"
    if one.state == "refused":
        assert (live, one.reason_text) == ([], "line 3 is wrong"), what
    assert (one.state == "needs_human") == (len(asked) == 1), f"{what}: {one.state} and {len(asked)} tasks"
    assert len(set(portal.sent)) <= 1, f"{what}: a resend had other bytes"


def run(house: House, name: str) -> None:
    lanes = list(kinds())
    house.write(*(lane for lane, _, _ in lanes))
    for lane, repeat, unique in lanes:
        PORTALS[lane.key] = Portal(house.clock, repeat, unique)
        PORTALS[lane.key].acts.extend(OUTCOMES[name])
    ws = house.open()
    submissions = {lane.key: receive(ws, invoice("A-1", lane.key)) for lane, _, _ in lanes}
    ws = through(house, ws)
    resume_all(ws, house.clock)
    ws = through(house, ws)
    for key, submission_id in submissions.items():
        agree(ws, submission_id, PORTALS[key], f"{name} at {key}")

    while waiting := open_tasks(ws):  # a person may be asked about each of many tries
        for task in waiting:
            answer_truly(ws, task.id, task.submission_id, PORTALS[task.connection])
        ws = through(house, ws)
    for key, submission_id in submissions.items():
        portal, one = PORTALS[key], row(ws, submission_id)
        agree(ws, submission_id, portal, f"{name} at {key}, answered")
        expected = ("refused", 0) if name in REFUSED and one.state == "refused" else ("sent", 1)
        assert expected == (one.state, len(portal.live())), f"{name} at {key}, answered"
        assert [FoundState.SUBMITTED] * expected[1] == [doc.state for doc in portal.docs], f"{name} at {key}"
    with ws.db.reading() as tx:
        assert verify(tx, ws.blobs)[1] == ()


@pytest.mark.parametrize("name", OUTCOMES)
def test_exactly_one_document_or_one_question(sqlite: House, name: str) -> None:
    """Whatever a submit ends in, each portal holds one document, or a person is asked once; and truth settles it."""
    run(sqlite, name)


@pytest.mark.parametrize("name", ["ok", "unknown, arrived", "death, arrived"])
def test_the_same_on_postgresql(postgresql_house: House, name: str) -> None:
    """The other database keeps the same promises."""
    run(postgresql_house, name)


def test_a_refused_invoice_is_refused_wherever_the_portal_can_be_asked(sqlite: House) -> None:
    """A plain refusal, and one after a lost attempt that left nothing there, need no person."""
    for name in REFUSED:
        ws, portal = sqlite.acme(repeat=Repeat.SAFE)
        portal.acts.extend(OUTCOMES[name])
        submission_id = receive(ws, invoice(f"A-{name}"))
        work(ws, sqlite.clock)
        assert ("refused", []) == (row(ws, submission_id).state, open_tasks(ws)), name
