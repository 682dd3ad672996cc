"""Reading an invoice from a file: the one door through which invoices come in, whatever their format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lxml import etree
from pydantic import ValidationError

from hub.contract.invoice import KIND_BY_TYPE_CODE, Invoice
from hub.contract.totals import Disagreement, disagreements, doubtful_lines
from hub.sources import cii, json, pdf, ubl
from hub.sources.refused import Problem, Refused, refusal
from hub.sources.tables import Fields, Reading, local
from hub.sources.terms import term
from hub.sources.validated import problems_of
from hub.sources.xml import Element, parse

__all__ = ["Read", "Refused", "read", "read_bytes"]

MAX_LINES = 100_000
_MAX_FILE = max(pdf.MAX_BYTES, json.MAX_BYTES)
_XML_STARTS = (b"<", b"\xff\xfe", b"\xfe\xff", b"\x00<")


@dataclass(frozen=True)
class _Format:
    name: str
    fields: Callable[[Element, Reading], Fields]
    paths: Mapping[str, str]


# Root element → how it is read.
_XML_FORMATS = {
    **dict.fromkeys(ubl.ROOTS, _Format("ubl", ubl.fields, ubl.PATHS)),
    cii.ROOT: _Format("cii", cii.fields, cii.PATHS),
}


@dataclass(frozen=True)
class Read:
    """One invoice as it was read. `blobs` holds every attachment's bytes by their SHA-256."""

    invoice: Invoice
    format: str  # ubl, cii, pdf, json
    blobs: Mapping[str, bytes]
    source_sha256: str
    left_out: tuple[str, ...] = ()  # elements with content that no field of the invoice holds
    doubts: tuple[Disagreement, ...] = ()  # lines whose net is not their price times quantity


def read(path: Path) -> Read:
    """The invoice in this file. Raises Refused with every reason at once; FileNotFoundError if there is none."""
    with path.open("rb") as file:
        content = file.read(_MAX_FILE + 1)
    return read_bytes(content, path.name)


def read_bytes(content: bytes, name: str) -> Read:
    """The invoice in these bytes; `name` is only shown. The format is told from the content. Raises Refused."""
    try:
        found = _told(content, name)
        _check(found.invoice)
    except Refused as refused:
        shown = name if name.isprintable() else ascii(name)
        raise Refused(refused.reason, refused.place, shown, unfinished=refused.unfinished) from None
    return found


def _told(content: bytes, name: str) -> Read:
    start = content[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    sha256 = hashlib.sha256(content).hexdigest()
    if not start:
        raise Refused("the file is empty; send it again", unfinished=True)
    if start.startswith(_XML_STARTS):
        return _from_xml(content, "", Reading(), sha256)
    if start.startswith(b"{"):
        invoice, blobs = json.read(content)
        return Read(invoice, "json", MappingProxyType(blobs), sha256, doubts=doubtful_lines(invoice))
    if b"%PDF-" in start:
        reading = Reading()
        unpacked = pdf.unpack(content, name, reading.blobs)
        try:
            return _from_xml(unpacked.xml, "pdf", reading, sha256, unpacked.attachments)
        except Refused as refused:
            place = f"{unpacked.xml_name} inside, {refused.place or 'as a whole'}"
            raise Refused(refused.reason, place) from None
    raise Refused(
        f"this is no invoice: the file begins with {start[:16].decode('latin-1')!a}; "
        "send UBL, CII, a Factur-X or ZUGFeRD PDF, or the hub's JSON"
    )


def _from_xml(
    content: bytes, carrier: str, reading: Reading, sha256: str, attachments: list[Fields] | None = None
) -> Read:
    root = parse(content)
    form = _XML_FORMATS.get(str(root.tag))
    if form is None:
        namespace = etree.QName(root).namespace or "no namespace"
        raise Refused(
            f"this is no invoice: its root element is {local(root)!r} ({namespace}); "
            "send a UBL 2.1 Invoice or CreditNote, or a CII D16B CrossIndustryInvoice",
            f"line {root.sourceline}",
        )
    data = form.fields(root, reading)
    data["attachments"] = [*(attachments or ()), *data.get("attachments", ())]
    invoice = _validated(data, form, reading)
    blobs = MappingProxyType(reading.blobs.held)
    doubts = doubtful_lines(invoice)
    return Read(invoice, carrier or form.name, blobs, sha256, reading.left_out(), doubts)


def _validated(data: Fields, form: _Format, reading: Reading) -> Invoice:
    """The invoice, or every problem at once: those of single values and those of the model."""
    try:
        invoice = Invoice.model_validate(data)
    except ValidationError as wrong:
        found = problems_of(wrong, form.paths, reading.places, reading.failed)
        raise refusal(reading.problems + found) from None
    if reading.problems:
        raise refusal(reading.problems)
    return invoice


def _check(invoice: Invoice) -> None:
    """Refuse an invoice that cannot be told, sent or believed: all that the model itself leaves open."""
    problems = [
        Problem(f"the {term(f'{role}.name')} is missing")
        for role, party in (("seller", invoice.seller), ("buyer", invoice.buyer))
        if not party.name
    ]
    if not invoice.number.isprintable():
        problems.append(Problem(f"the {term('number')} {invoice.number!r} holds control characters; correct it"))
    if invoice.type_code not in KIND_BY_TYPE_CODE:
        problems.append(
            Problem(
                f"the type code (BT-3) {invoice.type_code!r} is none that EN 16931 allows (UNTDID 1001); "
                "380 is an invoice, 381 a credit note"
            )
        )
    if len(invoice.lines) > MAX_LINES:
        problems.append(Problem(f"the invoice has {len(invoice.lines):,} lines, more than the {MAX_LINES:,} taken"))
    problems += [Problem(wrong.message, wrong.field) for wrong in disagreements(invoice)]
    if problems:
        raise refusal(problems)
