"""The task sheet: what to key where, in the order of a form. Pure, to bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from hub.contract.connector import Enclosure, MappedInvoice
from hub.contract.invoice import Attachment, Invoice, Line


def sheet(mapped: MappedInvoice, portal: str, url: str | None, instructions: str) -> bytes:
    """The sheet as UTF-8 text: where to go, the fields of the mapping, the lines, the totals, what to attach."""
    invoice = mapped.invoice
    head = (f"Portal: {portal}", f"Address: {url}" if url else "", instructions)
    parts = (
        "\n".join(text for text in head if text),
        "\n".join(f"{label}: {value}" for label, value in mapped.fields.items()),
        "Lines:\n" + "\n".join(map(_line, invoice.lines, mapped.lines)),
        "\n".join(f"{label}: {amount:f} {invoice.currency}" for label, amount in _amounts(invoice)),
        "\n".join(("Attach:", *map(_attachment, invoice.attachments))) if invoice.attachments else "",
    )
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _amounts(invoice: Invoice) -> Iterator[tuple[str, Decimal]]:
    yield "Net", invoice.totals.without_tax
    for tax in invoice.taxes:
        if tax.amount is not None:
            yield (tax.kind if tax.rate is None else f"{tax.kind} {tax.rate:f} %"), tax.amount
    yield "Total with tax", invoice.totals.with_tax
    yield "Due", invoice.totals.payable


def _line(line: Line, own: Mapping[str, str]) -> str:
    price = f" at {line.price:f}" if line.price is not None else ""
    extra = "".join(f"; {label}: {value}" for label, value in own.items())
    return f"  {line.id}. {line.quantity:f} {line.unit or ''}{price} = {line.net:f}  {line.name or ''}{extra}"


def _attachment(one: Attachment) -> str:
    return f"  - {one.type.value.replace('_', ' ')}: {one.url or one.name}"


def enclosures(mapped: MappedInvoice) -> tuple[Enclosure, ...]:
    """The attachments whose bytes the hub has, for the person to upload."""
    return tuple(
        Enclosure(f"attachment-{n}", one.name, one.media_type or "application/octet-stream", one.sha256)
        for n, one in enumerate(mapped.invoice.attachments, 1)
        if one.sha256 is not None
    )
