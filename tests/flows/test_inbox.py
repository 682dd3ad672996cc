"""What lies in the inbox: good files go on, bad ones are refused with their reason, and nothing counts twice."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from workbench import FIXTURES, Bench, service

from hub.contract.status import Stage
from hub.sources import folder
from hub.store import tables as t


def _names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def _reason(bench: Bench, name: str) -> str:
    return (bench.folder / "refused" / f"{name}.reason.txt").read_text(encoding="utf-8")


def test_every_bad_file_is_refused_and_the_good_ones_go_on(bench: Bench) -> None:
    """Hostile, broken and foreign files end in `refused` with their reason; good ones between them are sent."""
    bad = sorted((FIXTURES / "refused").iterdir())
    for path in bad:
        bench.put(path.name, path.read_bytes())
        os.utime(bench.inbox / path.name, (1, 1))  # old enough: nobody is writing it any more
    bench.put("binary.dat", bytes(range(256)) * 40)
    bench.put("a\u202e\x1b[31mname.txt", b"not an invoice")
    (bench.inbox / "link.xml").symlink_to("/etc/hostname")
    huge = bench.inbox / "huge.xml"
    with huge.open("wb") as file:
        file.truncate(folder.MAX_BYTES + 1)
    bench.put("0-first.xml", service("SV-1"))
    bench.put("z-last.xml", service("SV-2"))
    bench.work()
    assert {"SV-1": "sent", "SV-2": "sent"} == bench.states()
    assert [] == _names(bench.inbox)
    refused = _names(bench.folder / "refused")
    files = [name for name in refused if not name.endswith(".reason.txt")]
    assert sorted(["a\u202e\x1b[31mname.txt", "binary.dat", "huge.xml", "link.xml", *(p.name for p in bad)]) == files
    assert sorted([*files, *(f"{name}.reason.txt" for name in files)]) == refused
    for name, word in (
        ("bomb.xml", "doctype"),
        ("stealing.xml", "doctype"),
        ("huge.xml", "the most is"),
        ("page.html", "html page"),
        ("wrong-encoding.xml", "utf-8"),
        ("link.xml", "link"),
        ("binary.dat", "no invoice"),
        ("truncated.xml", "line"),
    ):
        assert word in _reason(bench, name).lower(), (name, _reason(bench, name))


def test_a_file_that_is_still_written_waits_until_it_is_whole(bench: Bench) -> None:
    """A fresh file that ends in the middle stays in the inbox; when the rest has come it is taken."""
    whole = service("SV-1")
    bench.put("one.xml", whole[: len(whole) // 2])
    bench.put("two.part", whole)
    bench.put(".hidden", whole)
    bench.work()
    assert ({}, [".hidden", "one.xml", "two.part"]) == (bench.states(), _names(bench.inbox))
    bench.put("one.xml", whole)
    bench.work()
    assert ({"SV-1": "sent"}, ["one.xml"]) == (bench.states(), _names(bench.folder / "done"))


def test_a_file_that_changes_when_looked_at_is_left_to_its_writer(bench: Bench) -> None:
    """Without the shortcut of the tests, a file younger than two seconds is not even opened."""
    assert folder.QUIET_SECONDS >= 1
    bench.put("one.xml", service("SV-1"))
    assert [] == folder.waiting(folder.Folder(bench.inbox))


def test_the_same_file_twice_changes_nothing(bench: Bench) -> None:
    """Under the same name, under another, or before it was sent: one invoice, one submit."""
    bench.put("one.xml", service("SV-1"))
    bench.put("copy.xml", service("SV-1"))
    bench.work()
    bench.put("one.xml", service("SV-1"))
    bench.work()
    assert {"SV-1": "sent"} == bench.states()
    assert (1, 1) == (bench.row("SV-1").revision, len(bench.network.requests("submit")))
    assert ["copy.xml", "one.xml"] == _names(bench.folder / "done")
    with bench.open() as ws, ws.db.reading() as tx:
        outcomes = tx.execute(sa.select(t.intake.c.outcome).order_by(t.intake.c.id)).scalars().all()
    assert {"received": 1, "repeated": len(outcomes) - 1} == Counter(outcomes)


def test_a_corrected_file_replaces_a_held_one(bench: Bench) -> None:
    """The same number with other content takes the place of what our rules hold, and is checked anew."""
    held = (FIXTURES / "RV-26-1005.xml").read_bytes()
    bench.put("held.xml", held)
    bench.work()
    assert {"RV-26-1005": "held"} == bench.states()
    good = (FIXTURES / "RV-26-1001.xml").read_bytes().replace(b"RV-26-1001", b"RV-26-1005")
    bench.put("corrected.xml", good)
    bench.work()
    row = bench.row("RV-26-1005")
    assert ("sent", 2) == (row.submission, row.revision)
    assert 1 == len(bench.at_portal("RV-26-1005"))


def test_other_content_under_a_number_that_was_accepted_is_refused_with_both_named(bench: Bench) -> None:
    """Once the portal has it, another content is no correction but a conflict: both files are named."""
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.network.advance("SV-1")
    bench.work()
    bench.put("other.xml", service("SV-1", buyer_reference="Instandhaltung 0418"))
    bench.work()
    reason = _reason(bench, "other.xml")
    assert "SV-1" in reason
    assert "one.xml" in reason
    assert "other.xml" in reason
    assert 1 == len(bench.network.requests("submit"))
    assert ("accepted", 1) == (bench.row("SV-1").submission, bench.row("SV-1").revision)


def test_a_rejected_invoice_can_be_corrected_under_its_number(bench: Bench) -> None:
    """After the buyer's rejection the correction is taken as a new revision; what the portal does with it is told."""
    bench.put("one.xml", service("SV-1"))
    bench.work()
    bench.network.reject("SV-1", "wrong reference")
    bench.work()
    assert Stage.REJECTED == bench.row("SV-1").stage
    bench.put("other.xml", service("SV-1", buyer_reference="Instandhaltung 0418"))
    for _ in range(4):
        bench.work(later=10)
    row = bench.row("SV-1")
    # The network keeps a rejected number taken: it says duplicate, and only a person can go on.
    assert (2, "needs_human", 1) == (row.revision, row.submission, len(bench.at_portal("SV-1")))


def test_an_unreadable_file_stays_and_stops_no_other(bench: Bench) -> None:
    """A file that may not be read is left where it is; the others are taken."""
    bench.put("closed.xml", service("SV-1"))
    (bench.inbox / "closed.xml").chmod(0)
    if os.access(bench.inbox / "closed.xml", os.R_OK):
        pytest.skip("this user may read everything")
    bench.put("open.xml", service("SV-2"))
    bench.work()
    assert ({"SV-2": "sent"}, ["closed.xml"]) == (bench.states(), _names(bench.inbox))
