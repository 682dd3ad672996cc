"""What UBL and CII have in common once their own names are read away."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from hub.sources.attachments import decoded, link, type_of
from hub.sources.tables import Fields, Reading
from hub.sources.xml import Element

OBJECT, TENDER, PROJECT = "130", "50", "50"  # UNTDID 1001: what a referenced document is, where not an attachment
_EXTENDED_SUBJECT = re.compile(r"#([A-Z]{3})#(.*)", re.DOTALL)  # BT-21 in UBL: "#AAI#text" (EN 16931-3-2)

# UNTDID 5153, the taxes portals tell apart from VAT; another code or word stays as it is.
_KINDS = {"STT": "sales", "LOC": "sales"}


def note(raw: str, _: Element, __: Reading) -> Fields:
    """A remark, with its subject where UBL's spelling gives one."""
    found = _EXTENDED_SUBJECT.fullmatch(raw)
    return {"subject": found[1], "text": found[2]} if found else {"text": raw}


def tax_kind(raw: str, _: Element, __: Reading) -> str:
    """Which tax it is, in the invoice's words."""
    return _KINDS.get(raw, raw)


def settle_attachment(stated: Fields, element: Element, reading: Reading) -> None:
    """Turn what stands at a referenced document into an Attachment's fields; embedded bytes go to the blobs."""
    content, name, kind = stated.pop("content", None), stated.pop("file_name", None), stated.pop("kind", None)
    reference = stated.get("reference")
    try:
        if content is not None:
            stated.update(reading.blobs.add(decoded(content), name or reference or "", stated.get("media_type")))
        else:
            stated["name"] = name or reference or stated.get("url")
        if (url := stated.get("url")) is not None:
            link(url)
    except ValueError as wrong:
        reading.problem(element, wrong)
        stated.setdefault("name", "refused")
    stated["type"] = type_of(kind, stated.get("description"))


def settle_preceding(stated: Fields, element: Element, _: Fields, reading: Reading) -> None:
    """A preceding invoice must have a number; a date alone refers to nothing."""
    if stated and "number" not in stated:
        reading.problem(element, "refers to a preceding invoice without its number (BT-25)")


def discount(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """The discount inside a price (BT-147); a charge there is no EN 16931 term and is left."""
    if stated.pop("charge", False):
        reading.leave(element)
        stated.clear()
    for field, value in stated.items():
        out.setdefault(field, value)
    stated.clear()


def merged_payment(stated: Fields, element: Element, out: Fields, reading: Reading) -> None:
    """Several payment means as one: accounts add up, anything else that differs is left."""
    if "due_date" in stated:
        out.setdefault("due_date", stated.pop("due_date"))
    account = {key: stated.pop(key) for key in ("account", "name", "bank") if key in stated}
    payment = out.setdefault("payment", {}) if stated or account else {}
    if "account" in account:
        payment.setdefault("accounts", []).append(account)
    elif account:
        reading.leave(element)
    differing = [field for field, value in stated.items() if payment.setdefault(field, value) != value]
    if differing:
        reading.leave(element)
    stated.clear()


def check_currencies(data: Fields, reading: Reading) -> None:
    """Every amount is in the invoice's currency (EN 16931-1, 6.3.2: BT-5 holds for all but BT-111)."""
    if "currency" not in data:
        return  # said already: it is missing
    for stated, element in reading.currencies.items():
        if stated != data["currency"]:
            reading.problem(
                element,
                f"the amount {element.text!r} is in {stated}, the invoice in {data['currency']} (BT-5); "
                "an invoice has one currency",
            )


def settle_withholding(totals: Fields, taxes: list[Fields]) -> None:
    """What withholding takes off the amount due.

    Neither syntax states it. Where the amount due is what BR-CO-16 makes it without any withholding, the source has
    counted it elsewhere (in BT-113) or only mentions it, and nothing is taken off; else all of it is.
    """
    withheld = sum((tax["amount"] for tax in taxes if tax.get("withholding") and "amount" in tax), Decimal(0))
    needed = ("with_tax", "payable")
    if withheld and all(field in totals for field in needed):
        due = totals["with_tax"] - totals.get("paid", Decimal(0)) + totals.get("rounding", Decimal(0))
        if due != totals["payable"]:
            totals["withheld"] = withheld


def creditor_id(data: Fields, party: str) -> None:
    """Move a SEPA creditor identifier (BT-90), which UBL keeps among a party's identifiers, to the payment."""
    held: list[Any] = data.get(party, {}).get("identifiers", [])
    for identifier in [one for one in held if one["scheme"] == "SEPA"]:
        held.remove(identifier)
        data.setdefault("payment", {}).setdefault("creditor_id", identifier["value"])


def tax_numbers(party: Fields, vat: str) -> None:
    """A party's registrations as its VAT number (scheme `vat`) and its other tax number."""
    for registration in party.pop("registrations", []):
        party.setdefault("vat_id" if registration.get("scheme") == vat else "tax_id", registration.get("id"))
