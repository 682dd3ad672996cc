"""The road in: one identity, one live delivery of it, and which correction takes whose place."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from delivery_house import (
    ON_BOTH,
    House,
    Lane,
    credit,
    event,
    invoice,
    open_tasks,
    receive,
    row,
    rows,
    state,
    work,
)
from portal_in_memory import PORTALS, Portal, raises

from hub.contract.connector import FoundState, Lookup, Page, Repeat
from hub.contract.errors import NeedsHuman, Reason, Rejected, Transient
from hub.contract.invoice import Invoice
from hub.contract.status import Delivered, Stage
from hub.delivery import admit, check, collect, deliver, ledger, tasks
from hub.delivery.admit import ConflictError, Outcome, send_again, withdraw
from hub.delivery.lifecycle import Happening
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.sources.read import Read, Refused
from hub.store import tables as t


def as_read(one: Invoice, **blobs: bytes) -> Read:
    return Read(one, "json", blobs, "")


def documents(ws: Workspace) -> list[tuple[str, str, str]]:
    return [(one.customer, one.kind, one.number_key) for one in rows(ws, t.document)]


@ON_BOTH
def test_the_same_content_again_changes_nothing(house: House) -> None:
    """In every state, a file that comes again is the same revision, whatever it is called."""
    ws, portal = house.acme()
    portal.acts.append(raises(lambda: Rejected("no", reasons=(Reason("no"),))))
    one = invoice("A-1")
    first = admit.receive(ws, as_read(one), "first.json", b"{}")
    assert Outcome.RECEIVED is first.outcome
    for step in (lambda: None, lambda: check.check(ws, first.submission_id), lambda: work(ws, house.clock)):
        step()
        again = admit.receive(ws, as_read(one), "second.json", b"{ }")
        assert (Outcome.REPEATED, first.revision_id) == (again.outcome, again.revision_id)
    withdraw(ws, first.submission_id, by="ann", why="wrong customer")
    assert Outcome.REPEATED is admit.receive(ws, as_read(one), "third.json", b"{}").outcome
    work(ws, house.clock)
    assert ("withdrawn", 1) == (state(ws, first.submission_id), len(portal.sent))


@ON_BOTH
def test_two_threads_with_the_same_invoice_make_one_document(house: House) -> None:
    """At the same moment, through two workspaces: one is received, the others are repeats, and it is sent once."""
    ws, portal = house.acme()
    workers = [house.open() for _ in range(3)]
    with ThreadPoolExecutor(9) as pool:
        told = list(pool.map(lambda n: admit.receive(workers[n % 3], as_read(invoice("A-1")), "a", b"{}"), range(9)))
    assert [Outcome.RECEIVED] + [Outcome.REPEATED] * 8 == sorted((one.outcome for one in told), key=str)
    assert 1 == len({one.submission_id for one in told})
    work(ws, house.clock)
    assert 1 == len(portal.docs)


@ON_BOTH
def test_two_threads_with_two_contents_make_one_live_submission(house: House) -> None:
    """Whichever came last goes; the other stepped aside, and the portal gets one document."""
    ws, portal = house.acme()
    workers = [house.open() for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: receive(workers[n % 3], invoice("A-1", content=f"version {n}")), range(6)))
    work(ws, house.clock)
    assert ["sent"] + ["superseded"] * 5 == sorted(one.state for one in rows(ws, t.submission))
    assert 1 == len(portal.docs)
    assert [1, 2, 3, 4, 5, 6] == sorted(one.seq for one in rows(ws, t.revision))


def test_the_number_is_compared_after_trim_and_case_fold(sqlite: House) -> None:
    """A-1 and a-1 are one document; a credit of the same number is another."""
    ws, _ = sqlite.acme()
    receive(ws, invoice(" A-1"))
    receive(ws, invoice("a-1 ", content="corrected"))
    receive(ws, credit("A-1", "X-1"))
    assert [("acme", "invoice", "a-1"), ("acme", "credit", "a-1")] == documents(ws)


@ON_BOTH
def test_a_re_route_cannot_send_it_again(house: House) -> None:
    """The account is an attribute: with another account, connection and login, the sent invoice stays the sent one."""
    house.write(Lane("acme"), Lane("other"))
    PORTALS["acme"], PORTALS["other"] = Portal(house.clock), Portal(house.clock)
    ws = house.open()
    submission_id = receive(ws, invoice("A-1"))
    held = receive(ws, invoice("A-2", buyer_reference=None))
    work(ws, house.clock)
    told = json.loads((house.folder / "hub.yaml").read_text())
    told["accounts"] = {"second": told["accounts"]["acme"] | {"connection": "other"}}
    (house.folder / "hub.yaml").write_text(json.dumps(told))
    ws = house.open()
    work(ws, house.clock)
    with pytest.raises(ConflictError):
        receive(ws, invoice("A-1", content="corrected"))
    assert Outcome.REPEATED is admit.receive(ws, as_read(invoice("A-1")), "a", b"{}").outcome
    moved = receive(ws, invoice("A-2"))
    work(ws, house.clock)
    assert ("acme", "acme") == (row(ws, submission_id).account, row(ws, submission_id).connection)
    assert (["A-1"], ["A-2"]) == tuple([doc.number for doc in PORTALS[key].docs] for key in ("acme", "other"))
    assert ("second", "superseded") == (row(ws, moved).account, state(ws, held))


def test_what_was_ready_is_routed_anew(sqlite: House) -> None:
    """Before the first attempt a change of hub.yaml moves it to the new account's portal."""
    sqlite.write(Lane("acme"), Lane("other"))
    ws = sqlite.open()
    submission_id = receive(ws, invoice("A-1"))
    check.check(ws, submission_id)
    told = json.loads((sqlite.folder / "hub.yaml").read_text())
    told["accounts"] = {"second": told["accounts"]["acme"] | {"connection": "other"}}
    (sqlite.folder / "hub.yaml").write_text(json.dumps(told))
    ws = sqlite.open()
    work(ws, sqlite.clock)
    assert ("sent", "second", "other") == (
        state(ws, submission_id),
        row(ws, submission_id).account,
        row(ws, submission_id).connection,
    )
    assert ([], 1) == (PORTALS["acme"].docs, len(PORTALS["other"].docs))


def know(house: House, **customers: str) -> Workspace:
    """hub.yaml learns identifiers of customers."""
    told = json.loads((house.folder / "hub.yaml").read_text())
    for key, vat in customers.items():
        told["customers"][key]["identifiers"] = {"vat": vat}
    (house.folder / "hub.yaml").write_text(json.dumps(told))
    return house.open()


@ON_BOTH
def test_an_unknown_customer_gets_its_identity_later(house: House) -> None:
    """Held until hub.yaml knows the buyer; then it is that customer's document, and a second one is not another."""
    house.write(Lane("acme"))
    ws = know(house, acme="XX0")
    submission_id = receive(ws, invoice("A-1"))
    stranger = receive(ws, invoice("A-1", "nobody"))
    work(ws, house.clock)
    assert ("held", "held", 2) == (state(ws, submission_id), state(ws, stranger), len(set(documents(ws))))
    assert all(customer.startswith("?") for customer, _, _ in documents(ws))
    ws = know(house, acme="XXACME")
    work(ws, house.clock)
    assert ("acme", "invoice", "a-1") == documents(ws)[0]
    assert ("sent", "held") == (state(ws, submission_id), state(ws, stranger))
    assert submission_id == receive(ws, invoice("A-1"))


@ON_BOTH
def test_an_identity_that_is_taken_is_not_given_twice(house: House) -> None:
    """It came while the buyer was unknown, and once more afterwards: one goes, the other is held and says why."""
    house.write(Lane("acme"))
    ws = know(house, acme="XX0")
    early = receive(ws, invoice("A-1"))
    check.check(ws, early)
    ws = know(house, acme="XXACME")
    late = receive(ws, invoice("A-1"))
    assert early != late
    check.check(ws, late)
    work(ws, house.clock)
    assert ("held", "sent", 1) == (state(ws, early), state(ws, late), len(PORTALS["acme"].docs))
    assert ["identity"] == [one.rule for one in rows(ws, t.finding, t.finding.c.submission_id == early)][-1:]


def test_a_credit_whose_customer_becomes_known_waits_for_its_invoice(sqlite: House) -> None:
    """What it depends on is looked for under the identity it gets, not under the one it had."""
    sqlite.write(Lane("acme"))
    ws = know(sqlite, acme="XX0")
    original, credited = receive(ws, invoice("A-1", buyer_reference=None)), receive(ws, credit("C-1", "A-1"))
    work(ws, sqlite.clock)
    ws = know(sqlite, acme="XXACME")
    work(ws, sqlite.clock)
    assert ("held", "held", []) == (state(ws, original), state(ws, credited), PORTALS["acme"].sent)


def to_state(ws: Workspace, portal: Portal, house: House, wanted: str, stage: Stage | None) -> int:
    """An invoice A-1 in one of the states."""
    if wanted == "refused":
        portal.acts.append(raises(lambda: Rejected("no", reasons=(Reason("no"),))))
    submission_id = receive(ws, invoice("A-1", buyer_reference=None if wanted == "held" else "R-1"))
    if wanted == "withdrawn":
        withdraw(ws, submission_id, by="ann", why="wrong")
    if wanted not in ("draft", "withdrawn"):
        check.check(ws, submission_id)
    if wanted in ("sending", "in_doubt", "needs_human"):
        with ws.db.writing("test") as tx:
            assert ledger.Claim(1, 0) == ledger.claim(tx, submission_id, owner="x", until=ws.now(), at=ws.now())
            for happening in {"in_doubt": [Happening.DOUBTED], "needs_human": [Happening.STUCK]}.get(wanted, []):
                ledger.move(tx, submission_id, happening, at=ws.now(), why="a test")
    if wanted in ("sent", "accepted", "refused"):
        deliver.deliver(ws, submission_id)
    if wanted == "accepted":
        word = event("e1", stage or "received", at=ws.now(), portal_id="P-1")
        collect.store(ws, "acme", Page((word,), None))
    assert wanted == state(ws, submission_id), house
    return submission_id


TAKEN = [(one, None) for one in ("draft", "held", "ready", "refused", "withdrawn")]
TAKEN += [("accepted", stage) for stage in (Stage.REJECTED, Stage.DISPUTED, Stage.CANCELLED)]
NOT_TAKEN = [(one, None) for one in ("sending", "in_doubt", "needs_human", "sent", "accepted")]
NOT_TAKEN += [
    ("accepted", stage)
    for stage in Stage
    if stage not in (Stage.REJECTED, Stage.DISPUTED, Stage.CANCELLED, Stage.UNKNOWN)
]


@pytest.mark.parametrize(("before", "stage"), TAKEN)
def test_a_correction_takes_the_place_of_what_was_not_delivered(
    sqlite: House, before: str, stage: Stage | None
) -> None:
    """Draft, held, ready, refused, withdrawn, and what the buyer rejected: a new revision, and the old one ends."""
    ws, portal = sqlite.acme()
    old = to_state(ws, portal, sqlite, before, stage)
    new = receive(ws, invoice("A-1", content="corrected"))
    assert ("withdrawn" if before == "withdrawn" else "superseded", "draft") == (state(ws, old), state(ws, new))
    revisions = rows(ws, t.revision)
    assert [(1, None), (2, revisions[0].id)] == [(one.seq, one.replaces_id) for one in revisions]
    work(ws, sqlite.clock)
    assert ("sent", "corrected") == (state(ws, new), portal.docs[-1].content)
    assert (2 if before == "accepted" else 1) == len(portal.docs)


@pytest.mark.parametrize(("before", "stage"), NOT_TAKEN)
def test_a_correction_of_what_may_be_there_is_refused_and_names_both(
    sqlite: House, before: str, stage: Stage | None
) -> None:
    """Nothing is stored and nothing moves; the message names the document, its state and both files."""
    ws, portal = sqlite.acme()
    old = to_state(ws, portal, sqlite, before, stage)
    with pytest.raises(ConflictError, match="A-1 of acme") as caught:
        receive(ws, invoice("A-1", content="corrected"), "second.json")
    told = str(caught.value)
    assert (True, True, True) == (before in told, "A-1.json" in told, "second.json" in told)
    assert (before, 1) == (state(ws, old), len(rows(ws, t.revision)))


def test_a_customer_that_takes_no_corrections_gets_none(sqlite: House) -> None:
    """hub.yaml says so; then what it rejected stays as it is."""
    sqlite.write(Lane("acme"))
    told = json.loads((sqlite.folder / "hub.yaml").read_text())
    told["customers"]["acme"]["corrections_after_rejection"] = False
    (sqlite.folder / "hub.yaml").write_text(json.dumps(told))
    ws = sqlite.open()
    old = to_state(ws, PORTALS["acme"], sqlite, "accepted", Stage.REJECTED)
    with pytest.raises(ConflictError):
        receive(ws, invoice("A-1", content="corrected"))
    assert "accepted" == state(ws, old)


@ON_BOTH
def test_old_and_new_swap_in_one_transaction(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dies in between leaves the old one live."""
    ws, _ = house.acme()
    old = receive(ws, invoice("A-1"))
    with monkeypatch.context() as patch:
        patch.setattr(admit, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            receive(ws, invoice("A-1", content="corrected"))
    assert ("draft", 1) == (state(ws, old), len(rows(ws, t.revision)))


@ON_BOTH
def test_a_withdrawn_one_returns_only_by_a_person(house: House) -> None:
    """As a new revision of the same content, with a transmission of its own."""
    ws, portal = house.acme()
    old = receive(ws, invoice("A-1"))
    check.check(ws, old)
    withdraw(ws, old, by="ann", why="too early")
    again = send_again(ws, old, by="bob", why="now it may")
    work(ws, house.clock)
    assert ("withdrawn", "sent", 1) == (state(ws, old), state(ws, again.submission_id), len(portal.docs))
    assert "person:bob" == rows(ws, t.revision)[-1].created_by
    assert row(ws, old).payload_id != row(ws, again.submission_id).payload_id
    assert 1 == len({one.content_sha256 for one in rows(ws, t.revision)})


def test_only_what_was_refused_or_withdrawn_goes_once_more(house: House) -> None:
    """Once: the revision that took its place is the one that counts, and nothing live is sent again."""
    ws, portal = house.acme()
    old = to_state(ws, portal, house, "refused", None)
    new = send_again(ws, old, by="ann", why="the portal was mended").submission_id
    for one in (old, new):
        with pytest.raises(ConflictError, match="only what was refused or withdrawn"):
            send_again(ws, one, by="ann", why="twice")
    work(ws, house.clock)
    assert ("superseded", "sent", 1) == (state(ws, old), state(ws, new), len(portal.docs))


@pytest.mark.parametrize("before", ["sending", "in_doubt", "sent", "accepted"])
def test_what_may_be_delivered_cannot_be_withdrawn(sqlite: House, before: str) -> None:
    """It says what it is instead."""
    ws, portal = sqlite.acme()
    old = to_state(ws, portal, sqlite, before, None)
    with pytest.raises(ConflictError, match=before):
        withdraw(ws, old, by="ann", why="wrong")
    assert before == state(ws, old)


def test_withdrawing_closes_what_was_asked_of_it(sqlite: House) -> None:
    """Nobody is asked any more about what does not go."""
    ws, portal = sqlite.acme(lookup=Lookup.NONE)
    portal.acts.append(raises(lambda: NeedsHuman("a captcha", action="solve it")))
    submission_id = receive(ws, invoice("A-1"))
    work(ws, sqlite.clock)
    assert 1 == len(open_tasks(ws, submission_id))
    withdraw(ws, submission_id, by="ann", why="keyed in by hand")
    assert ("withdrawn", []) == (state(ws, submission_id), open_tasks(ws))


def test_amounts_that_no_column_holds_are_refused(sqlite: House) -> None:
    """They would come back at every scan; nothing of them is stored."""
    ws, _ = sqlite.acme()
    for total in ("100000000000000", "1.00001", "-99999999999999999.99", "12345678901234.0000000000000001"):
        with pytest.raises(Refused, match="is no amount that an invoice has") as caught:
            receive(ws, invoice("A-1", total=total))
        assert "totals.with_tax" == caught.value.place
    receive(ws, invoice("A-2", total="99999999999999.9999"))
    assert 1 == len(rows(ws, t.document))


def test_attachments_and_source_are_stored_before_the_ledger_names_them(sqlite: House) -> None:
    """Everything a row names can be read from the archive."""
    ws, _ = sqlite.acme()
    received = admit.receive(ws, as_read(invoice("A-1"), scan=b"a scan"), "a.json", b"{the file}")
    [revision] = rows(ws, t.revision)
    assert (received.revision_id, b"{the file}") == (revision.id, ws.blobs.read(revision.source_sha256))
    stored = {path.read_bytes() for path in ws.blobs.folder.rglob("*") if path.is_file()}
    assert {b"a scan", b"{the file}"} == stored
    assert ["source"] == [one.kind for one in rows(ws, t.evidence)]


def drafted(house: House, **settings: Any) -> tuple[Workspace, Portal, int]:
    """An invoice of which the portal has a draft, and refused to go on."""
    ws, portal = house.acme(steps=3, repeat=Repeat.SAFE, **settings)
    ok = lambda p, told: p.receipt(p.take(told))  # noqa: E731 - an act
    portal.acts.extend([ok, raises(lambda: Transient("later", delivered=Delivered.NO))])
    submission_id = receive(ws, invoice("A-1", content="first"))
    check.check(ws, submission_id)
    assert "ready" == deliver.deliver(ws, submission_id)
    assert [FoundState.DRAFT] == [doc.state for doc in portal.docs]
    return ws, portal, submission_id


@ON_BOTH
def test_a_correction_takes_over_the_draft_at_the_portal(house: House) -> None:
    """Its steps begin with an update of that draft, and one document stands there in the end."""
    ws, portal, old = drafted(house)
    new = receive(ws, invoice("A-1", content="second"))
    assert "P-1" == row(ws, new).portal_id
    work(ws, house.clock)
    assert ("superseded", "sent") == (state(ws, old), state(ws, new))
    assert ["update", "details", "submit"] == [one.name for one in rows(ws, t.step, t.step.c.submission_id == new)]
    assert [("P-1", FoundState.SUBMITTED, "second")] == [(d.portal_id, d.state, d.content) for d in portal.docs]
    collect.store(ws, "acme", Page((event("e1", "paid", at=ws.now(), portal_id="P-1"),), None))
    assert ("accepted", "paid") == (state(ws, new), row(ws, new).stage)


def test_withdrawing_with_a_draft_at_the_portal_asks_to_delete_it(house: House) -> None:
    """And whoever sends it again does not count on that draft."""
    ws, portal, old = drafted(house)
    withdraw(ws, old, by="ann", why="wrong")
    [task] = open_tasks(ws, old)
    assert ("do", True) == (task.kind, "P-1" in task.title)
    portal.docs.clear()
    tasks.answer(ws, task.id, Spoken(Say.DONE, "ann"))
    assert ("withdrawn", []) == (state(ws, old), open_tasks(ws))
    new = send_again(ws, old, by="ann", why="right after all").submission_id
    work(ws, house.clock)
    assert ("create", "sent", 1) == (
        rows(ws, t.step, t.step.c.submission_id == new)[0].name,
        state(ws, new),
        len(portal.docs),
    )
