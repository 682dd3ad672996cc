"""The task sheet: what to key where, each thing once, in the order of a form. Pure, to bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from hub.contract.connector import Enclosure, MappedInvoice
from hub.contract.invoice import AllowanceCharge, Attachment, Tax

# What the sheet calls the two things that the connection's settings give, unless the mapping gives them for an account.
PORTAL, ADDRESS = "Portal", "Sign in at"
_JOINERS = "\u200c\u200d"  # not printable alone, but words of Persian and Hindi, and emoji, are made with them


def sheet(mapped: MappedInvoice, portal: str, url: str | None, instructions: str) -> bytes:
    """The sheet as UTF-8 text: where to go, the mapping's fields and lines in its order, what stands beside them.

    Every value is one line without control characters, so that it is safe in a terminal and cannot pass for a field.
    """
    fields = dict(mapped.fields)
    head = {PORTAL: fields.pop(PORTAL, portal), ADDRESS: fields.pop(ADDRESS, url)}
    parts = (
        _fields(head),
        "\n".join(map(_one_line, instructions.strip().splitlines())),
        _fields(fields),
        _list("Lines", map(_line, mapped.lines)),
        _list("Allowances and charges", (_allowance(one, mapped) for one in mapped.invoice.allowances_charges)),
        _list("Taxes", _taxes(mapped)),
        _list("Attach", map(_attachment, mapped.invoice.attachments)),
    )
    return ("\n\n".join(part for part in parts if part) + "\n").encode()


def _fields(fields: Mapping[str, str | None]) -> str:
    return "\n".join(_one_line(f"{label}: {value}") for label, value in fields.items() if value)


def _list(title: str, items: Iterator[str]) -> str:
    shown = [f"  - {_one_line(item)}" for item in items if item]
    return "\n".join((f"{title}:", *shown)) if shown else ""


def _line(fields: Mapping[str, str]) -> str:
    return " | ".join(f"{label}: {value}" for label, value in fields.items())


def _one_line(text: str) -> str:
    """Without line breaks, terminal controls and marks that turn the reading direction around."""
    return " ".join("".join(char if char.isprintable() or char in _JOINERS else " " for char in text).split())


def _allowance(one: AllowanceCharge, mapped: MappedInvoice) -> str:
    kind = "charge" if one.charge else "allowance"
    return f"{kind}: {_plain(one.amount)} {mapped.invoice.currency} {one.reason or ''}"


def _taxes(mapped: MappedInvoice) -> Iterator[str]:
    """Each tax by its rate, unless the mapping's fields show both its rate and its amount already."""
    shown = set(mapped.fields.values())
    for tax in mapped.invoice.taxes:
        if tax.amount is not None and not {_plain(tax.rate), _plain(tax.amount)} <= shown:
            yield f"{_tax(tax)}: {_plain(tax.amount)} {mapped.invoice.currency}"


def _tax(tax: Tax) -> str:
    where = f" in {tax.location}" if tax.location else ""
    rate = f" {_plain(tax.rate)} %" if tax.rate is not None else f" category {tax.category}"
    on = f" on {_plain(tax.taxable)}" if tax.taxable is not None else ""
    why = f" ({tax.exemption_reason})" if tax.exemption_reason else ""
    return f"{'withheld ' if tax.withholding else ''}{tax.kind}{rate}{where}{on}{why}"


def _plain(number: Decimal | None) -> str:
    return "" if number is None else f"{number:f}"


def _attachment(one: Attachment) -> str:
    link = f" ({one.url})" if one.url and one.url != one.name else ""
    return f"{one.type.value.replace('_', ' ')}: {one.name}{link}"


def enclosures(mapped: MappedInvoice) -> tuple[Enclosure, ...]:
    """The attachments whose bytes the hub has, for the person to upload."""
    return tuple(
        Enclosure(f"attachment-{n}", one.name, one.media_type or "application/octet-stream", one.sha256)
        for n, one in enumerate(mapped.invoice.attachments, 1)
        if one.sha256 is not None
    )
