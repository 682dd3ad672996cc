"""From a mapped invoice to everything its cXML document will say, or to everything that is wrong with it, at once.

Here is judged, in document.py only written.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connectors.ariba.settings import ANID, AribaSettings, mismatch
from connectors.cxml.amounts import Amounts, LineAmounts, add_up
from connectors.cxml.parts import missing_in_address
from hub.contract.connector import Enclosure, MappedInvoice, Stamp
from hub.contract.errors import Unpreparable
from hub.contract.invoice import AttachmentType, Invoice, Line, Party

EXTRINSIC = "extrinsic."
_ORDER_FIELDS = frozenset({"po_number", "po_payload_id", "po_date"})
FIELDS = _ORDER_FIELDS | {
    "to_anid", "time_zone", "supplier_tax_id", "supplier_vat_id", "buyer_vat_id", "bill_to_id", "ship_to_id",
    "sold_to_email", "payment_days", "discount_days", "discount_percent",
}  # fmt: skip
LINE_FIELDS = _ORDER_FIELDS | {
    "unit", "order_line", "supplier_part_id", "classification_domain", "classification_code", "description",
}  # fmt: skip
_NEVER_ATTACHED = (".exe", ".bin")  # the network refuses executables
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)
_IN_WORDS = {
    "from": "seller",
    "remitTo": "remit to",
    "billTo": "bill to",
    "soldTo": "sold to",
    "taxRepresentative": "tax representative",
    "shipFrom": "ship from",
    "shipTo": "ship to",
}


@dataclass(frozen=True)
class Case:
    """How one kind of document is said in cXML (portals/ariba.md, 2.11: purpose, isHeaderInvoice, sign)."""

    purpose: str
    header: bool  # isHeaderInvoice: no lines, one sum an order
    sign: int  # of quantities and amounts; prices stay positive


# UNTDID 1001 and whether every line names its order line. What is missing here is not sent.
_CASES = {
    ("380", True): Case("standard", header=False, sign=1),
    ("380", False): Case("standard", header=False, sign=1),
    ("381", True): Case("lineLevelCreditMemo", header=False, sign=-1),
    ("381", False): Case("creditMemo", header=True, sign=-1),
    ("383", True): Case("debitMemo", header=True, sign=1),
    ("383", False): Case("debitMemo", header=True, sign=1),
}


class Order(NamedTuple):
    """The order that lines belong to; no number: none."""

    number: str | None
    payload_id: str | None = None  # of the order's own document
    date: str | None = None  # as it stands in the order


class Item(NamedTuple):
    """One line with what it is called in the document."""

    line: Line
    fields: Mapping[str, str]
    amounts: LineAmounts
    number: str  # invoiceLineNumber
    order: Order
    order_line: str


@dataclass(frozen=True)
class Original:
    """The one earlier invoice that this one refers to."""

    number: str
    date: dt.date | None
    payload_id: str | None


class Plan(NamedTuple):
    """Everything the document says."""

    invoice: Invoice
    fields: Mapping[str, str]
    case: Case
    zone: ZoneInfo
    amounts: Amounts
    items: tuple[Item, ...]
    partners: tuple[tuple[str, Party], ...]  # role, party
    shipping: tuple[Party, Party] | None  # from, to
    terms: tuple[tuple[str, str | None], ...]  # days, discount percent
    original: Original | None
    enclosures: tuple[Enclosure, ...]
    image: Enclosure | None  # the invoice's own picture

    def at(self, date: dt.date) -> str:
        """Midnight of a day in the account's zone."""
        return dt.datetime(date.year, date.month, date.day, tzinfo=self.zone).isoformat()


def plan(mapped: MappedInvoice, stamp: Stamp, settings: AribaSettings) -> Plan:
    """What the document will say; raises Unpreparable with every problem in a clerk's words."""
    invoice, wrong = mapped.invoice, list[str]()
    fields = _known(mapped.fields, FIELDS, "", wrong)
    lines = tuple(
        _known(extra, LINE_FIELDS, f"line {line.id}: ", wrong)
        for line, extra in zip(invoice.lines, mapped.lines, strict=True)
    )
    _receiver(fields.get("to_anid"), settings, wrong)
    zone = _zone(fields.get("time_zone"), wrong)
    case = _case(invoice, lines, wrong)
    amounts = add_up(invoice, lines_matter=not case.header)
    wrong += amounts.problems
    if invoice.totals.with_tax < 0 or (invoice.totals.payable <= 0 and case.header):
        wrong.append(
            f"a {case.purpose} over {invoice.total} with {invoice.payable} due cannot be sent; "
            "Ariba wants the amount due of a credit or debit memo other than 0, and no invoice below 0"
        )
    partners = tuple(_partners(invoice))
    shipping = _shipping(invoice)
    wrong += _incomplete((*partners, *zip(("shipFrom", "shipTo"), shipping or (), strict=False)))
    date = invoice.portal_date or invoice.issue_date
    if date > stamp.at.astimezone(zone).date():
        wrong.append(f"the invoice date {date} has not come yet in {zone.key}; send it then, or correct the date")
    enclosures = _enclosures(invoice, stamp, wrong)
    planned = Plan(
        invoice=invoice,
        fields=fields,
        case=case,
        zone=zone,
        amounts=amounts,
        items=tuple(_items(invoice, fields, lines, amounts, case, wrong)),
        partners=partners,
        shipping=shipping,
        terms=tuple(_terms(invoice, fields, wrong)),
        original=_original(mapped, case, wrong),
        enclosures=enclosures,
        image=_image(invoice, enclosures),
    )
    if wrong:
        raise Unpreparable(tuple(dict.fromkeys(wrong)))
    return planned


def _known(given: Mapping[str, str], names: frozenset[str], where: str, wrong: list[str]) -> Mapping[str, str]:
    """The fields that say something; a name that is none of ours is a slip of the mapping."""
    wrong += [
        f"{where}the mapping gives {name!r}, which Ariba's connector does not know; it knows "
        f"{', '.join(sorted(names))} and {EXTRINSIC}<Name>"
        for name in given
        if name not in names and not name.startswith(EXTRINSIC)
    ]
    return {name: text for name, value in given.items() if (text := value.strip())}


def _receiver(anid: str | None, settings: AribaSettings, wrong: list[str]) -> None:
    if anid is None:
        wrong.append("no to_anid: the customer's network id is missing; add it to the customer's account")
    elif not re.fullmatch(ANID, anid):
        wrong.append(f"to_anid {anid!r} is no network id; write AN and 11 digits, and -T for a test account")
    elif why := mismatch(settings.deployment_mode, anid):
        wrong.append(f"to_anid: {why}")


def _zone(name: str | None, wrong: list[str]) -> ZoneInfo:
    try:
        return ZoneInfo(name or "")
    except (KeyError, ValueError, OSError):  # unknown, a path, a folder of zones
        wrong.append(f"time_zone {name!r} is no time zone; write one as in America/Chicago")
        return ZoneInfo("UTC")


def _case(invoice: Invoice, lines: tuple[Mapping[str, str], ...], wrong: list[str]) -> Case:
    named = [bool(extra.get("order_line") or line.order_line) for line, extra in zip(invoice.lines, lines, strict=True)]
    if invoice.type_code == "381" and any(named) and not all(named):
        missing = ", ".join(line.id for line, has in zip(invoice.lines, named, strict=True) if not has)
        wrong.append(f"a credit note names order lines for all of its lines or for none; lines {missing} have none")
    case = _CASES.get((invoice.type_code, all(named)))
    if case is None:
        wrong.append(
            f"type {invoice.type_code} cannot be sent to Ariba from here, only 380, 381 and 383; "
            "issue a credit note and a new invoice, or key it by hand"
        )
        return _CASES["380", True]
    return case


def _items(
    invoice: Invoice,
    fields: Mapping[str, str],
    lines: tuple[Mapping[str, str], ...],
    amounts: Amounts,
    case: Case,
    wrong: list[str],
) -> Iterator[Item]:
    numbers = _numbers(invoice)
    for line, extra, sums, number in zip(invoice.lines, lines, amounts.lines, numbers, strict=True):
        order = _order(invoice, line, fields, extra)
        order_line = extra.get("order_line") or line.order_line or ("" if order.number else number)
        if not case.header:
            wrong += _line_problems(line, extra, order, order_line)
        yield Item(line, extra, sums, number, order, order_line)


def _line_problems(line: Line, extra: Mapping[str, str], order: Order, order_line: str) -> Iterator[str]:
    if "unit" not in extra:
        yield f"line {line.id}: no unit of measure; map {line.unit or 'it'!r} to the customer's code"
    if not _NUMBER.fullmatch(order_line):
        yield f"line {line.id}: {order_line!r} is no line number of order {order.number}; give the order line's number"
    if line.sub_lines:
        yield f"line {line.id}: its sub-lines cannot be sent to Ariba from here; give one line each"
    if ("classification_domain" in extra) is not ("classification_code" in extra):
        yield f"line {line.id}: classification_domain and classification_code go together"


def _numbers(invoice: Invoice) -> tuple[str, ...]:
    """The lines' own ids where they are numbers, each once; else they are counted."""
    own = [str(int(line.id)) if _NUMBER.fullmatch(line.id) else "" for line in invoice.lines]
    if all(own) and len(set(own)) == len(own):
        return tuple(own)
    return tuple(str(place) for place in range(1, len(own) + 1))


def _order(invoice: Invoice, line: Line, fields: Mapping[str, str], extra: Mapping[str, str]) -> Order:
    """The line's own order, else the invoice's; payload id and date are taken from where the number stands."""
    whole = fields.get("po_number") or invoice.purchase_order_reference or None
    number = extra.get("po_number") or line.order_number or whole
    source = {**fields, **extra} if number == whole else extra
    return Order(number, source.get("po_payload_id"), source.get("po_date"))


def _partners(invoice: Invoice) -> Iterator[tuple[str, Party]]:
    yield "from", invoice.seller
    yield "remitTo", invoice.parties.get("remit_to") or invoice.payee or invoice.seller
    yield "billTo", invoice.parties.get("bill_to") or invoice.buyer
    yield "soldTo", invoice.parties.get("sold_to") or invoice.buyer
    if invoice.tax_representative is not None:
        yield "taxRepresentative", invoice.tax_representative


def _incomplete(parties: Iterable[tuple[str, Party]]) -> Iterator[str]:
    """What the parties' addresses lack, each once however many roles a party has."""
    missing: dict[tuple[str, str], list[str]] = {}
    for role, party in parties:
        for part in missing_in_address(party):
            missing.setdefault((party.name or "a party without a name", part), []).append(_IN_WORDS[role])
    for (name, part), roles in missing.items():
        yield f"{name} ({', '.join(roles)}): no {part} in its address; Ariba needs it"


def _shipping(invoice: Invoice) -> tuple[Party, Party] | None:
    """From and to, where both are known: one alone cannot be said (cXML 1.2.069, InvoiceDetailShipping)."""
    start, end = invoice.parties.get("ship_from"), invoice.parties.get("ship_to")
    if end is None and invoice.delivery is not None and invoice.delivery.address is not None:
        end = Party(name=invoice.delivery.name or invoice.buyer.name, address=invoice.delivery.address)
    return (start, end) if start is not None and end is not None else None


def _terms(invoice: Invoice, fields: Mapping[str, str], wrong: list[str]) -> Iterator[tuple[str, str | None]]:
    for name, form in (("payment_days", _NUMBER), ("discount_days", _NUMBER), ("discount_percent", _PERCENT)):
        if name in fields and not form.fullmatch(fields[name]):
            wrong.append(f"{name} is {fields[name]!r}; write a number")
    days, percent = fields.get("discount_days"), fields.get("discount_percent")
    if days and percent:
        yield days, percent
    elif days or percent:
        wrong.append("discount_days and discount_percent go together")
    if "payment_days" in fields:
        yield fields["payment_days"], None
    elif invoice.due_date is not None and invoice.due_date >= invoice.issue_date:
        yield str((invoice.due_date - invoice.issue_date).days), None


def _original(mapped: MappedInvoice, case: Case, wrong: list[str]) -> Original | None:
    preceding = mapped.invoice.preceding
    if len(preceding) > 1:
        wrong.append(f"it refers to {len(preceding)} earlier invoices, Ariba takes one; split it")
    by_line = case.purpose == "lineLevelCreditMemo"
    if not preceding:
        if by_line:
            wrong.append("a credit note by line needs the invoice that it credits (BT-25)")
        return None
    refs = mapped.related.get(preceding[0].number)
    payload_id = refs.payload_id if refs else None
    if by_line and payload_id is None:
        wrong.append(
            f"{preceding[0].number} was not sent through this hub, so its payload id, by which Ariba credits lines, is "
            "not known; leave the order lines out to credit as a whole, or key it by hand"
        )
    return Original((refs and refs.number) or preceding[0].number, preceding[0].issue_date, payload_id)


def _enclosures(invoice: Invoice, stamp: Stamp, wrong: list[str]) -> tuple[Enclosure, ...]:
    found = []
    for place, each in enumerate(invoice.attachments, 1):
        media_type = each.media_type or "application/octet-stream"
        if each.sha256 is None:
            wrong.append(f"attachment {each.name}: only a link; Ariba takes files, so attach the file itself")
        elif each.name.lower().endswith(_NEVER_ATTACHED):
            wrong.append(f"attachment {each.name}: the network takes no executables; leave it out")
        elif not _MEDIA_TYPE.fullmatch(media_type):
            wrong.append(f"attachment {each.name}: {media_type!r} is no media type; write one as in application/pdf")
        else:
            found.append(Enclosure(f"{place}.{stamp.payload_id}", each.name, media_type, each.sha256))
    return tuple(found)


def _image(invoice: Invoice, enclosures: tuple[Enclosure, ...]) -> Enclosure | None:
    images = {each.sha256 for each in invoice.attachments if each.type is AttachmentType.INVOICE_IMAGE}
    return next((each for each in enclosures if each.sha256 in images), None)
