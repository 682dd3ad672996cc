"""The task sheets that are pinned; run as a script it writes them anew."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from connectors.manual.connector import ManualSettings
from connectors.manual.document import sheet
from hub.config import PROJECT
from hub.contract.connector import MappedInvoice, Stamp
from hub.requirements.mapping import load_mapping
from hub.requirements.paths import Facts
from hub.sources.read import read

EXPECTED = PROJECT / "fixtures" / "expected" / "manual"
SETTINGS = ManualSettings(
    portal="Oakhurst supplier site",
    url="https://suppliers.oakhurst.example",
    instructions="Maria Okafor has the login.\nMenu: Invoices, New invoice.",
)
STAMP = Stamp("p-1@hub.example", dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC), "part-1", "marker-1")

# An attachment, five lines, a PDF, a credit, an allowance, a withholding, attachments of the hub's own JSON.
INVOICES = (
    "RV-26-3001.xml",
    "RV-26-3002.xml",
    "RV-26-3003.pdf",
    "RA-26-2002.xml",
    "RA-26-2003.xml",
    "other/withheld.xml",
    "other/hub.json",
)


def mapped(name: str, facts: Facts | None = None) -> MappedInvoice:
    """A fixture invoice through the project's own mapping."""
    invoice = read(PROJECT / "fixtures" / "invoices" / name).invoice
    fields, missing = load_mapping([PROJECT / "mappings"], "manual", None, None).apply(invoice, facts or Facts())
    assert missing == ()
    return MappedInvoice(invoice, fields.fields, fields.lines)


def sheet_of(one: MappedInvoice) -> bytes:
    return sheet(one, SETTINGS.portal, SETTINGS.url, SETTINGS.instructions)


def golden(name: str) -> Path:
    return EXPECTED / f"{Path(name).stem}.txt"


if __name__ == "__main__":
    EXPECTED.mkdir(parents=True, exist_ok=True)
    for invoice in INVOICES:
        golden(invoice).write_bytes(sheet_of(mapped(invoice)))
