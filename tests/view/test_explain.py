from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import NOW, Rows, ago, lanes
from working_day import REPLY, SENT

from hub.contract.status import Delivered, Stage, Submission
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view import UnknownNumberError, document, explain, explain_document, is_known
from hub.view.explain import MOST_SHOWN
from hub.view.timeline import What

S = Submission


def numbers(day: Any, number: str) -> list[str]:
    return sorted(one.row.number for one in explain(day.db, day.blobs, number, now=NOW))


@pytest.mark.parametrize("number", ["INV-20861", "  inv-20861 ", "1@hub"])
def test_a_document_is_found_by_what_people_call_it(day: Any, number: str) -> None:
    """Its number, trimmed and whatever its case, and the id of our transmission."""
    assert ["INV-20861"] == numbers(day, number)


def test_the_portals_names_find_it_too(db: Database, tmp_path: Path) -> None:
    """The number that the portal shows, and the portal's own reference; each document once."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        one = rows.invoice(S.SUPERSEDED, "INV-1", revision={"shown_number": "INV-1-R"}, portal_id="AN-9")
        rows.submission(one, S.READY, revision={"shown_number": "INV-1-R"}, portal_id="AN-9")
        rows.invoice(S.SENT, "inv-1 ", document={"customer": "basin"})
    blobs = Blobs(tmp_path)
    for number, found in (("INV-1-R", [1]), ("AN-9", [1]), ("INV-1", [2, 1])):
        assert found == [told.row.document_id for told in explain(db, blobs, number, now=NOW)]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("20861", "no invoice has the number '20861'; near ones are INV-20861"),
        ("INV-20816", "no invoice has the number 'INV-20816'; near ones are INV-208"),
        ("zzzzzz", "no invoice has the number 'zzzzzz'"),
        ("", "no invoice has the number ''"),
        ("%", "no invoice has the number '%'"),
    ],
)
def test_an_unknown_number_names_near_ones(day: Any, number: str, told: str) -> None:
    """A slip of the finger is answered with what was probably meant."""
    with pytest.raises(UnknownNumberError) as caught:
        explain(day.db, day.blobs, number, now=NOW)
    assert str(caught.value).startswith(told)
    assert isinstance(caught.value, LookupError)
    assert ("near" in told) == ("near" in str(caught.value))


def test_no_such_document(day: Any) -> None:
    """An id that the ledger does not have is an error of its own."""
    with pytest.raises(LookupError, match="no document 4711"):
        explain_document(day.db, day.blobs, 4711, now=NOW)


def test_the_story_is_told_in_order_with_its_evidence(day: Any) -> None:
    """Moves, attempts and the portal's words stand in time order; each says who, why and what it rests on."""
    told = explain_document(day.db, day.blobs, day.ids["refused"], now=NOW)
    assert sorted(moment.at for moment in told.timeline) == [moment.at for moment in told.timeline]
    assert [
        (What.MOVE, "Our submission: Not checked yet"),
        (What.MOVE, "Our submission: Not checked yet → Waiting to be sent"),
        (What.ATTEMPT, "Attempt 1, submit: the portal does not have it (Transient)"),
        (What.MOVE, "Our submission: Waiting to be sent → Being sent"),
        (What.MOVE, "Our submission: Being sent → Waiting to be sent"),
        (What.ATTEMPT, "Attempt 2, submit: delivered (sent)"),
        (What.MOVE, "Our submission: Being sent → Sent, not yet taken in"),
        (What.WORD, "The portal said “Invalid”: read as refused, of taking it in"),
        (What.MOVE, "Our submission: Sent, not yet taken in → Refused by the portal"),
    ] == [(moment.what, moment.told) for moment in told.timeline]
    word, last = told.timeline[-2:]
    assert ("portal:ariba", "PO line 20 is not known (INV-07); refused") == (word.who, word.why)
    assert (word.key, hashlib.sha256(REPLY).hexdigest()) == (last.evidence, word.sha256)


def test_findings_stand_before_the_move_they_led_to(day: Any) -> None:
    """At the same moment the cause comes first, and the very first move before everything."""
    kinds = [moment.what for moment in explain_document(day.db, day.blobs, day.ids["held"], now=NOW).timeline]
    assert [What.MOVE, What.FINDING, What.FINDING, What.FINDING, What.MOVE] == kinds


def test_being_read_comes_before_all_else(db: Database, tmp_path: Path) -> None:
    """Even where a clock gave everything the same moment."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        document_id = rows.invoice(S.HELD)
        rows.finding(rows.of(document_id), "no order", found_at=ago(hours=1))
        rows.move(rows.of(document_id), None, "draft", "read", at=ago(hours=1), evidence=f"source:{'a' * 64}")
    told = explain_document(db, Blobs(tmp_path), document_id, now=NOW)
    assert [What.MOVE, What.FINDING] == [moment.what for moment in told.timeline]
    assert ("source", "a" * 64) == (told.timeline[0].evidence, told.timeline[0].sha256)


def test_findings_say_where_their_rule_stands(day: Any) -> None:
    """Each finding of the last check with its rule, its place and how to mend it."""
    findings = explain_document(day.db, day.blobs, day.ids["held"], now=NOW).findings
    assert [
        ("po_required", "block", "rules/ariba/acme.yaml:12"),
        ("po_line_required", "block", "rules/ariba/acme.yaml:31"),
        ("terms", "warn", "rules/ariba/default.yaml:8"),
    ] == [(finding.rule, finding.severity, finding.place) for finding in findings]


def test_tasks_and_answers_are_part_of_the_story(db: Database, tmp_path: Path) -> None:
    """What a person was asked and what they said, with their name."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        document_id = rows.invoice(S.SENT)
        rows.task(rows.of(document_id), "look", answered_at=ago(hours=1), answered_by="Mira", answer="sent AN-1")
        rows.task(rows.of(document_id), "decide")
    told = explain_document(db, Blobs(tmp_path), document_id, now=NOW)
    assert [None, ago(hours=1)] == sorted((task.answered_at for task in told.tasks), key=bool)
    assert ("person:Mira", "Answered: sent AN-1", "task:1") == next(
        (moment.who, moment.told, moment.evidence) for moment in told.timeline if moment.what is What.ANSWER
    )


@pytest.mark.parametrize(
    ("delivered", "done", "sent_at", "fate"),
    [
        ([], False, None, "prepared, never sent"),
        (["no"], False, None, "tried, not delivered by the hub"),
        (["no"], False, NOW, "tried, not delivered by the hub"),
        (["no", "unknown"], False, None, "may have arrived"),
        (["no", "unknown"], False, NOW, "may have arrived; the document was found at the portal"),
        ([None], False, None, "may have arrived"),
        (["unknown", "yes"], False, NOW, "delivered"),
        (["unknown"], True, NOW, "delivered"),
    ],
    ids=str,
)
def test_what_became_of_a_document(
    db: Database, tmp_path: Path, delivered: list[str | None], sent_at: dt.datetime | None, *, done: bool, fate: str
) -> None:
    """Prepared is not sent, and an attempt without an end may have arrived."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        document_id = rows.invoice(sent_at=sent_at)
        step = rows.step(rows.of(document_id), "0" * 64, done_at=NOW if done else None)
        for number, one in enumerate(delivered, 1):
            rows.attempt(rows.of(document_id), step, one, number)
    told = explain_document(db, Blobs(tmp_path), document_id, now=NOW)
    assert [(fate, None)] == [(file.fate, file.size) for file in told.files]
    assert [Delivered(one) if one else None for one in delivered] == [attempt.delivered for attempt in told.attempts]


def test_every_revision_is_told(db: Database, tmp_path: Path) -> None:
    """The attempts and words of an earlier revision stay, and say whose they are."""
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(SENT)
    enclosure = [{"content_id": "a", "name": "ticket.pdf", "media_type": "application/pdf", "sha256": "e" * 64}]
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        document_id = rows.invoice(S.SUPERSEDED)
        step = rows.step(rows.of(document_id), sha256, enclosures=json.dumps(enclosure))
        rows.attempt(rows.of(document_id), step, "yes")
        rows.submission(document_id, S.ACCEPTED, stage=Stage.PAID)
        rows.step(rows.of(document_id), sha256)
    told = explain_document(db, blobs, document_id, now=NOW)
    assert [(1, S.SUPERSEDED), (2, S.ACCEPTED)] == [(revision.seq, revision.state) for revision in told.revisions]
    assert [1] == [attempt.revision for attempt in told.attempts]
    assert [(1, "submit", len(SENT)), (1, "ticket.pdf", None), (2, "submit", len(SENT))] == [
        (file.revision, file.name, file.size) for file in told.files
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (SENT, SENT.decode()),
        ("Größe 12".encode(), "Größe 12"),
        ("Größe 12".encode("latin-1"), None),
        (b"%PDF-1.7\0\0", None),
        (b"x" * (MOST_SHOWN + 1), None),
        (b"", ""),
    ],
    ids=["xml", "utf-8", "latin-1", "binary", "too long", "empty"],
)
def test_only_text_of_a_readable_length_is_shown(tmp_path: Path, content: bytes, text: str | None) -> None:
    """The bytes are always exact; as text is shown only what is text."""
    blobs = Blobs(tmp_path)
    found = document(blobs, blobs.put(content))
    assert (content, text) == (found.content, found.text)


def test_a_damaged_or_lost_document_is_an_error(tmp_path: Path) -> None:
    """What the archive no longer has as it was is never shown."""
    blobs = Blobs(tmp_path)
    sha256 = blobs.put(SENT)
    blobs.path(sha256).write_bytes(b"other")
    with pytest.raises(ValueError, match="damaged"):
        document(blobs, sha256)
    blobs.path(sha256).unlink()
    with pytest.raises(FileNotFoundError):
        document(blobs, sha256)


def test_the_ledger_knows_every_document_it_refers_to(db: Database) -> None:
    """Sources, steps, enclosures, answers, events and evidence; nothing else."""
    enclosure = json.dumps([{"content_id": "a", "name": "n", "media_type": "m", "sha256": "3" * 64}])
    with db.writing("test") as tx:
        rows = Rows(tx)
        document_id = rows.invoice(revision={"source_sha256": "1" * 64})
        step = rows.step(rows.of(document_id), "2" * 64, enclosures=enclosure)
        rows.attempt(rows.of(document_id), step, "yes", reply_sha256="4" * 64)
        rows.event(None, "raw", "unknown", document_sha256="5" * 64)
    assert [False, True, True, True, True, True, False] == [is_known(db, str(n) * 64) for n in range(7)]
