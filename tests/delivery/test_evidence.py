"""The archive: what was sent and answered can be proved, and no secret is in it."""

from __future__ import annotations

import base64
import html
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import sqlalchemy as sa
from delivery_house import ON_BOTH, House, Lane, event, invoice, open_tasks, receive, row, rows, work
from hypothesis import given, settings
from hypothesis import strategies as st
from portal_in_memory import PORTALS, Portal, raises

from hub.contract.connector import Found, FoundState, Page, Receipt, Refs, Repeat
from hub.contract.errors import Duplicate, NeedsHuman, PortalError, Reason, Rejected, Scope, Transient
from hub.contract.status import Delivered, Intake
from hub.delivery import collect, evidence, tasks
from hub.delivery.evidence import Archive, Scrubber, verify
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.store.blobs import Blobs

NO, UNKNOWN = Delivered.NO, Delivered.UNKNOWN


def wrong(ws: Workspace) -> tuple[int, tuple[str, ...]]:
    with ws.db.reading() as tx:
        return verify(tx, ws.blobs)


def some_evidence(house: House) -> Workspace:
    ws, _ = house.acme()
    for number in range(3):
        receive(ws, invoice(f"A-{number}"))
    work(ws, house.clock)
    collect.store(ws, "acme", Page((event("e1", "paid", at=house.clock(), portal_id="P-1"),), None))
    return ws


@ON_BOTH
def test_the_chain_of_a_working_day_verifies(house: House) -> None:
    """Source, sent bytes and reply of each invoice, and a status: every one is proved and readable."""
    ws = some_evidence(house)
    assert (10, ()) == wrong(ws)
    kinds = [one.kind for one in rows(ws, t.evidence)]
    assert ["source"] * 3 + ["sent", "reply"] * 3 + ["status"] == kinds


@ON_BOTH
def test_a_changed_row_is_found(house: House) -> None:
    """Whatever of it was changed: the document, its hash, whose it is, what it is, when it was."""
    ws = some_evidence(house)
    zeros = "0" * 64
    changes = {"kind": "status", "sha256": zeros, "salt": "pepper", "salted": zeros, "link": zeros}
    changes |= {"submission_id": 1, "attempt_id": 1, "at": house.clock().replace(year=2030)}
    for column, value in changes.items():
        before = getattr(rows(ws, t.evidence, t.evidence.c.id == 6)[0], column)
        assert before != value
        for put in (value, before):
            with ws.db.writing("test") as tx:
                tx.execute(t.evidence.update().where(t.evidence.c.id == 6).values({column: put}))
            count, told = wrong(ws)
            found = any("evidence 6" in one or "evidence 7" in one for one in told)
            assert (10, put == value) == (count, found), column


@pytest.mark.parametrize("removed", [1, 5, 8])
def test_a_removed_row_is_found(house: House, removed: int) -> None:
    """The one after it no longer follows."""
    ws = some_evidence(house)
    with ws.db.writing("test") as tx:
        tx.execute(t.evidence.delete().where(t.evidence.c.id == removed))
    count, told = wrong(ws)
    assert (9, True) == (count, any(f"evidence {removed + 1}: does not follow" in one for one in told))


def test_swapped_rows_are_found(house: House) -> None:
    """The order in which things happened is part of what is proved."""
    ws = some_evidence(house)
    with ws.db.writing("test") as tx:
        for before, after in ((4, 99), (5, 4), (99, 5)):
            tx.execute(t.evidence.update().where(t.evidence.c.id == before).values(id=after))
    assert wrong(ws)[1]


@ON_BOTH
def test_a_chain_that_was_cut_off_is_found_by_the_attempts(house: House) -> None:
    """Its end leaves no trace in it, but what was sent is known from elsewhere."""
    ws = some_evidence(house)
    with ws.db.writing("test") as tx:
        tx.execute(t.evidence.delete().where(t.evidence.c.id >= 8))
    assert (7, ("attempt 3: the chain has nothing of what it sent; a row was removed",)) == wrong(ws)


@pytest.mark.parametrize(("damage", "told"), [("damaged", "is damaged"), ("gone", "is gone")])
def test_a_damaged_or_missing_file_is_found(house: House, damage: str, told: str) -> None:
    """By its row and its path."""
    ws = some_evidence(house)
    path = ws.blobs.path(rows(ws, t.evidence)[4].sha256)
    path.unlink() if damage == "gone" else path.write_bytes(b"something else")
    found = wrong(ws)[1]
    assert 1 == len(found)
    assert (True, True) == (told in found[0], str(path) in found[0])


def test_what_was_erased_leaves_a_chain_that_verifies(house: House) -> None:
    """Bytes, hash and salt go; the rest still proves itself."""
    ws = some_evidence(house)
    one = rows(ws, t.evidence)[0]
    ws.blobs.path(one.sha256).unlink()
    with ws.db.writing("test") as tx:
        tx.execute(t.evidence.update().where(t.evidence.c.id == one.id).values(sha256=None, salt=None))
    assert (10, ()) == wrong(ws)


@ON_BOTH
def test_concurrent_appends_keep_one_chain(house: House) -> None:
    """From threads and through two workspaces: each link follows from exactly one before it."""
    ws, _ = house.acme()
    workers = [ws, house.open()]
    sha256 = ws.blobs.put(b"a document")

    def append(number: int) -> None:
        with workers[number % 2].db.writing("test") as tx:
            evidence.chain(tx, "source", sha256, at=house.clock())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(append, range(60)))
    assert (60, ()) == wrong(ws)


# Secrets.

ODD = "p&<>\"'s/ w+=%?é\\#1"
CANARIES = ("canary-7731-secret", ODD, "Zm9vYmFy-token")

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=8, max_size=30)


def spellings(secret: str) -> list[str]:
    """How others may write a secret: what common encoders make of it."""
    xml = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return [
        secret,
        html.escape(secret),
        xml,
        xml.replace('"', "&quot;"),
        xml.replace("'", "&apos;").replace('"', "&#34;"),
        "".join(f"&#{ord(char)};" for char in secret),
        "".join(f"&#x{ord(char):X};" for char in secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        json.dumps(secret)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026").replace("'", "\\u0027"),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        quote(secret, safe="").lower() if secret.isascii() and secret.lower() == secret else secret,
    ]


@settings(max_examples=120, deadline=None)
@given(SECRETS, st.binary(max_size=7), st.binary(max_size=7))
def test_a_secret_is_taken_out_however_it_is_written(secret: str, before: bytes, after: bytes) -> None:
    """Raw, escaped for XML, HTML, JSON and URLs, and inside base64 at every offset, in both alphabets."""
    scrub = Scrubber([secret])
    for spelled in spellings(secret):
        content = b"<" + before + b">" + spelled.encode() + b"<" + after + b">"
        assert spelled.encode() not in scrub(content)
        assert scrub.finds(content)
        assert b"<" + after + b">" in scrub(content)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(before + secret.encode() + after)
        # What is left may hold the few characters that also depend on the neighbours, and not the secret.
        left = scrub(coded)
        assert b"[secret]" in left
        longest = max(left.replace(b"[secret]", b"|").split(b"|"), key=len)
        assert len(longest) <= len(coded) - (len(secret.encode()) - 2) * 4 // 3 + 4


def test_what_holds_no_secret_is_left_as_it_is() -> None:
    """Byte for byte, and a scrubber that knows none does nothing."""
    content = bytes(range(256)) * 3 + "über alles €".encode()
    for known in ([], ["canary-7731-secret"]):
        scrub = Scrubber(known)
        assert (content, False) == (scrub(content), scrub.finds(content))
    assert "a\N{REPLACEMENT CHARACTER}b" == Scrubber([]).text("a\0b")
    assert "?" == Scrubber([]).text("\ud800")


def test_a_secret_inside_another_leaves_nothing_of_either() -> None:
    """The longer one is taken out whole."""
    assert b"x[secret]y[secret]" == Scrubber(["canary", "canary-7731"])(b"xcanary-7731ycanary")


def test_a_secret_too_short_to_be_one_blanks_out_no_text() -> None:
    """Configuration refuses such a secret; here it is left alone."""
    assert b"the cat" == Scrubber(["cat"])(b"the cat")


def said(secret: str) -> str:
    return f"bad login {secret} for us"


def refs(secret: str) -> Refs:
    return Refs(said(secret), said(secret), said(secret), said(secret))


def talkative(secret: str) -> list[tuple[type[BaseException], dict[str, object]]]:
    raw = {"reply": json.dumps({"said": said(secret)}).encode()}
    why = {"reasons": (Reason(said(secret), portal_code=secret),)}
    human = {"action": said(secret), "url": f"https://x.example/?t={quote(secret)}"}
    return [
        (Transient, {"delivered": NO, **raw}),
        (Transient, {"delivered": UNKNOWN, **raw}),
        (Rejected, why | raw),
        (Duplicate, why | raw),
        (NeedsHuman, human | raw),
        (NeedsHuman, human | raw | {"scope": Scope.CONNECTION}),
        (NeedsHuman, human | raw | {"scope": Scope.ACCOUNT}),
        (ValueError, {}),
    ]


def written(house: House, ws: Workspace) -> bytes:
    """Everything that the hub wrote: the database as it lies on disk or can be read, and the archive."""
    on_disk = b"".join(
        path.read_bytes() for path in house.folder.rglob("*") if path.is_file() and path.name != "hub.yaml"
    )
    with ws.db.reading() as tx:
        in_rows = repr([[tuple(one) for one in tx.execute(sa.select(table))] for table in t.metadata.sorted_tables])
    return on_disk + in_rows.encode()


@ON_BOTH
def test_planted_secrets_are_found_nowhere(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A portal that repeats our secrets in everything it says: no byte of them is in database, archive or log."""
    caplog.set_level(logging.DEBUG)
    lanes = [Lane(f"lane{number}") for number in range(10)]
    house.write(*lanes)
    real = Archive.__init__

    def knowing(self: Archive, blobs: object, _: Scrubber) -> None:
        real(self, blobs, Scrubber(CANARIES))  # type: ignore[arg-type]

    monkeypatch.setattr(Archive, "__init__", knowing)
    ws = house.open()
    submissions = []
    for number, lane in enumerate(lanes):
        secret = CANARIES[number % len(CANARIES)]
        portal = PORTALS[lane.key] = Portal(house.clock, Repeat.SAFE)
        for kind, facts in talkative(secret)[number % 8 :]:
            text = said(secret)
            portal.acts.append(raises(lambda kind=kind, facts=facts, text=text: kind(text, **facts)))  # type: ignore[misc]
        portal.receipt = lambda _doc, secret=secret: Receipt(  # type: ignore[method-assign, misc]
            refs(secret), Intake.ACCEPTED, said(secret).encode(), said(secret)
        )
        portal.shown = lambda doc, secret=secret: Found(  # type: ignore[method-assign, misc]
            refs(secret), doc.number, doc.customer, doc.total, FoundState.REFUSED, said(secret).encode(),
            (Reason(said(secret)),),
        )  # fmt: skip
        submissions.append((receive(ws, invoice("A-1", lane.key)), lane.key, secret))
    for _ in range(6):
        work(ws, house.clock)
        for task in open_tasks(ws):
            waits = task.submission_id and row(ws, task.submission_id).state == "needs_human"
            say = Say.NOT_THERE if waits else Say.DONE
            tasks.answer(ws, task.id, Spoken(say, "ann", said(CANARIES[0]), said(ODD)))
    for submission_id, key, secret in submissions:
        why = (Reason(said(secret)),)
        known_as = {"payload_id": row(ws, submission_id).payload_id or "", "portal_id": said(secret)}
        words = [
            event(f"{n}", word, at=house.clock(), raw=said(secret), reasons=why, **known_as)
            for n, word in enumerate(("paid", "rejected", said(secret)))
        ]
        PORTALS[key].pages = [
            lambda words=words: Page(tuple(words), "c"),
            raises_page(Transient(said(secret), delivered=NO)),
        ]
        collect.collect(ws, key)
    everything = written(house, ws) + caplog.text.encode() + "".join(map(str, caplog.records)).encode()
    assert b"[secret]" in everything
    assert 10 == len(rows(ws, t.event)) // 3
    assert [] == [canary for canary in CANARIES if Scrubber([canary]).finds(everything)]


def raises_page(error: PortalError) -> object:
    def page() -> Page:
        raise error

    return page


def test_a_document_that_would_hold_a_secret_is_not_stored(sqlite: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mapping or the invoice put it there: it is held with a finding, and nothing of it is in the archive."""
    ws, portal = sqlite.acme()
    monkeypatch.setattr(ws.archive, "scrub", Scrubber(["R-1-canary-77"]))
    submission_id = receive(ws, invoice("A-1", content="R-1-canary-77"))
    work(ws, sqlite.clock)
    assert ("held", []) == (row(ws, submission_id).state, portal.sent)
    assert ["step create would store a secret in the archive"] == [one.message for one in rows(ws, t.finding)]
    assert [] == rows(ws, t.step)


def test_diagnostics_are_scrubbed_and_never_in_the_way(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are logged for whoever debugs, without secrets, and not kept."""
    caplog.set_level(logging.DEBUG)
    Archive(Blobs(tmp_path), Scrubber(CANARIES)).keep("headers", b"Cookie: canary-7731-secret \xff")
    assert "Cookie: [secret]" in caplog.text
    assert [] == list(tmp_path.iterdir())
