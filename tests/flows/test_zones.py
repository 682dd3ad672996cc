"""Where the machine stands and where the account is: neither changes a date, and only the stamp differs."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from workbench import FIXTURES, Bench, make_bench, service

from hub.delivery import ledger
from hub.engine import work
from hub.simulators.client import Simulator
from hub.store import tables as t

_AROUND_MIDNIGHT = (
    dt.datetime(2026, 11, 23, 23, 59, 59, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 24, 0, 0, 1, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 24, 10, 30, tzinfo=dt.UTC),  # the 25th in Kiritimati already
)


@pytest.fixture
def machine_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine whose zone can be set by TZ."""
    yield monkeypatch
    monkeypatch.undo()
    time.tzset()


def _prepared(bench: Bench, at: dt.datetime) -> dict[str, bytes]:
    """The prepared documents by number, without what the stamp put into them."""
    with bench.open() as ws:
        ws.now = lambda: at
        for source in ws.config.sources:
            list(work.scan(ws, source, quiet=0))
        work.check_all(ws)
        found = {}
        with ws.db.reading() as tx:
            query = (
                sa.select(t.document.c.number, t.submission.c.stamp, t.step.c.body_sha256)
                .join(t.submission, t.submission.c.document_id == t.document.c.id)
                .join(t.step, t.step.c.submission_id == t.submission.c.id)
            )
            for row in tx.execute(query):
                stamp = ledger.stamp_from_json(row.stamp)
                content = ws.blobs.read(row.body_sha256)
                for value in (stamp.payload_id, stamp.boundary, stamp.marker, stamp.payload_id.partition("@")[0]):
                    content = content.replace(value.encode(), b"[stamp]")
                found[row.number] = re.sub(rb"[0-9a-f]{16}", b"[token]", content)
        return found


def _bench(portals: Simulator, folder: Path) -> Bench:
    bench = make_bench(folder, portals)
    for path in sorted(FIXTURES.iterdir()):
        if path.is_file():
            bench.put(path.name, path.read_bytes())
    return bench


def test_the_machine_s_zone_changes_no_byte(portals: Simulator, tmp_path: Path, machine_in: pytest.MonkeyPatch) -> None:
    """The same invoices at the same moment are the same documents, wherever the machine thinks it is."""
    made = []
    for zone in ("UTC", "Pacific/Kiritimati", "America/Los_Angeles"):
        machine_in.setenv("TZ", zone)
        time.tzset()
        made.append(_prepared(_bench(portals, tmp_path / zone.replace("/", "-")), _AROUND_MIDNIGHT[0]))
    assert 11 == len(made[0])
    assert made[0] == made[1]
    assert made[0] == made[2]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles", "Etc/GMT+12"])
@pytest.mark.parametrize("at", _AROUND_MIDNIGHT, ids=str)
def test_an_invoice_bears_its_own_date_in_every_account_s_zone(
    portals: Simulator, tmp_path: Path, zone: str, at: dt.datetime
) -> None:
    """The date of an invoice is a date: no zone and no hour moves it to the day before or after."""
    bench = make_bench(tmp_path / "workspace", portals)
    bench.change("time_zone: Europe/Berlin", f"time_zone: {zone}")
    bench.put("one.xml", service("SV-1"))
    (content,) = _prepared(bench, at).values()
    (date,) = re.findall(rb'invoiceDate="(\d{4}-\d\d-\d\d)T', content)
    assert b"2026-11-05" == date
