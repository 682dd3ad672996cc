"""Which word is about which invoice."""

from __future__ import annotations

import pytest
from delivery_house import (
    INTAKE,
    ON_BOTH,
    STAGE,
    House,
    Lane,
    at,
    credit,
    event,
    hear,
    invoice,
    receive,
    refuse,
    row,
    rows,
    sent,
    stage,
    state,
    work,
)
from portal_in_memory import PORTALS, Portal

from hub.contract.status import Concerns
from hub.store import tables as t


def test_a_number_alone_binds_where_one_revision_was_ever_sent(house: House) -> None:
    """Trimmed and case-folded, and for every word, a refusal too."""
    ws, _, submission_id = sent(house)
    receive(ws, invoice("A-2"))
    hear(ws, event("e1", "refused", at=at(1), concerns=INTAKE, number=" a-1 "))
    assert "refused" == state(ws, submission_id)


@ON_BOTH
@pytest.mark.parametrize(
    ("concerns", "word", "bound"),
    [(INTAKE, "accepted", True), (STAGE, "paid", True), (INTAKE, "refused", False), (INTAKE, "duplicate", False)],
)
def test_a_number_alone_binds_beside_refused_revisions_unless_it_refuses(
    house: House,
    concerns: Concerns,
    word: str,
    bound: bool,  # noqa: FBT001 - a fact
) -> None:
    """The first was refused, the second stands: an acceptance can only mean the second, a refusal may mean either."""
    ws, portal = house.acme()
    refuse(portal)
    first = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, house.clock)
    assert ("superseded", "sent") == (state(ws, first), state(ws, second))
    hear(ws, event("e1", word, at=at(1), concerns=concerns, number="A-1"))
    [told] = rows(ws, t.event)
    assert (second if bound else None) == told.submission_id
    assert ("accepted" if bound else "sent") == state(ws, second)


def test_a_number_alone_does_not_choose_between_two_that_stand(house: House) -> None:
    """The accepted first and the corrected second: unmatched, shown as such, and nothing moved."""
    ws, _, first = sent(house)
    hear(ws, event("e1", "rejected", at=at(1), portal_id="P-1"))
    second = receive(ws, invoice("A-1", content="corrected"))
    work(ws, house.clock)
    hear(ws, event("e2", "paid", at=at(2), number="A-1"))
    told = rows(ws, t.event)[-1]
    assert (None, True) == (told.submission_id, told.applied)
    assert "no submission of ours is surely meant" in told.note
    assert ("rejected", None) == (stage(ws, first), stage(ws, second))


@pytest.mark.parametrize(
    ("refs", "why"),
    [
        ({"number": "A-9"}, "a number that we do not have"),
        ({"payload_id": "x"}, "a transmission of another's"),
        ({"payload_id": "x", "number": "A-1"}, "a transmission of another's under our number"),
        ({"portal_id": "P-77"}, "an unknown document"),
        ({"number": "A-1", "customer": "C-other"}, "another customer's document of that number"),
        ({}, "nothing at all"),
    ],
)
def test_what_is_not_surely_ours_is_stored_unmatched(house: House, refs: dict[str, str], why: str) -> None:
    """It is shown and moves nothing."""
    ws, _, submission_id = sent(house)
    assert 1 == hear(ws, event("e1", "paid", at=at(1), **refs))
    assert (None, None, "sent") == (rows(ws, t.event)[0].submission_id, stage(ws, submission_id), "sent"), why
    assert "sent" == state(ws, submission_id)


def test_a_number_that_two_documents_bear_is_not_chosen_between(house: House) -> None:
    """An invoice and a credit of the same number; and the same number at another connection is none of its business."""
    house.write(Lane("acme"), Lane("other"))
    PORTALS["acme"], PORTALS["other"] = Portal(house.clock), Portal(house.clock)
    ws = house.open()
    one, elsewhere = receive(ws, invoice("A-1")), receive(ws, invoice("A-1", "other"))
    work(ws, house.clock)
    hear(ws, event("e1", "approved", at=at(1), number="A-1"))
    assert ("approved", None) == (stage(ws, one), stage(ws, elsewhere))
    receive(ws, credit("A-1", "A-1"))
    work(ws, house.clock)
    hear(ws, event("e2", "paid", at=at(2), number="A-1"))
    assert (None, "approved") == (rows(ws, t.event)[-1].submission_id, stage(ws, one))


def test_the_number_that_the_portal_shows_binds_too(house: House) -> None:
    """A resubmission under another number is known by that number, letters beyond ASCII included."""
    ws, _ = house.acme()
    submission_id = receive(ws, invoice("A-1", portal_number="A-1-É"))
    work(ws, house.clock)
    hear(ws, event("e1", "approved", at=at(1), number="A-1-É"), event("e2", "paid", at=at(2), number="A-1"))
    assert ("approved", [submission_id, None]) == (
        stage(ws, submission_id),
        [told.submission_id for told in rows(ws, t.event)],
    )


def test_an_event_teaches_the_portals_id(house: House) -> None:
    """What is known by our payload id once is known by the portal's id afterwards."""
    ws, _, submission_id = sent(house)
    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().values(portal_id=None))
    hear(ws, event("e1", "received", at=at(1), payload_id=row(ws, submission_id).payload_id, portal_id="N-5"))
    hear(ws, event("e2", "paid", at=at(2), portal_id="N-5"))
    assert ("N-5", "paid") == (row(ws, submission_id).portal_id, stage(ws, submission_id))


@ON_BOTH
def test_an_event_that_came_before_its_id_was_known_is_matched_later(house: House) -> None:
    """The portal spoke of its own id before it had told us that: unmatched at first, and not lost."""
    ws, portal = house.acme()
    submission_id = receive(ws, invoice("A-1"))
    hear(ws, event("e1", "approved", at=at(1), portal_id="P-1"), event("e2", "paid", at=at(2), portal_id="P-2"))
    assert [None, None] == [told.submission_id for told in rows(ws, t.event)]
    work(ws, house.clock)
    assert ("accepted", "approved", "APPROVED") == (
        state(ws, submission_id),
        stage(ws, submission_id),
        row(ws, submission_id).last_raw,
    )
    assert [submission_id, None] == [told.submission_id for told in rows(ws, t.event)]
    assert 1 == len(portal.sent)
