"""The hub's own JSON: whatever the model can hold comes back as it was."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import types
import typing
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import StringConstraints

from hub.contract.invoice import (
    KIND_BY_TYPE_CODE,
    AllowanceCharge,
    Attachment,
    Invoice,
    Line,
    Part,
    Tax,
    Totals,
)
from hub.contract.totals import disagreements
from hub.sources import json as hub_json
from hub.sources.read import Refused, read_bytes

SOURCES = Path(hub_json.__file__).parent
HUB_JSON = SOURCES.parents[1] / "fixtures" / "invoices" / "other" / "hub.json"

AMOUNTS = st.decimals(-10_000_000, 10_000_000, places=2)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=6)
TEXTS = WORDS | st.just("") | st.tuples(WORDS, WORDS).map(" ".join)


def of(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one return per kind of type
    """A strategy for a field's type as the model declares it."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        limits = [one for one in inside[1:] if isinstance(one, StringConstraints)]
        if limits and limits[0].pattern:
            return st.from_regex(str(limits[0].pattern).strip("^$"), fullmatch=True)
        return WORDS if limits and limits[0].min_length else of(inside[0])
    if origin in (typing.Union, types.UnionType):
        return st.none() | of(next(one for one in inside if one is not type(None)))
    if origin is tuple:
        return st.lists(of(inside[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(TEXTS, of(inside[1]), max_size=2)
    if hint in SPECIAL:
        return SPECIAL[hint]()
    if isinstance(hint, type) and issubclass(hint, Part):
        return part(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    return PLAIN[hint]


def part(model: type[Part], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A strategy for every field of a part, some of them given."""
    hints = typing.get_type_hints(model, include_extras=True)
    needed = {name: fixed[name] if name in fixed else of(hints[name]) for name in model.model_fields}
    return st.builds(model, **needed)


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    Decimal: AMOUNTS,
    dt.date: st.dates(),
    int: st.integers(0, 9),
}
SPECIAL: dict[Any, Any] = {
    Line: lambda: part(Line, sub_lines=st.just(())),
    Attachment: lambda: part(Attachment, sha256=st.none(), size=st.none(), url=st.none(), name=st.just("a link.txt")),
}


@st.composite
def invoices(draw: st.DrawFn) -> Invoice:
    """Any invoice whose totals agree."""
    lines = draw(st.lists(of(Line), min_size=1, max_size=3))
    lines[0] = lines[0].model_copy(update={"sub_lines": (draw(of(Line)),)})
    parts = draw(st.lists(part(AllowanceCharge), max_size=2))
    bare = {"withholding": st.just(value=False), "rate": st.none(), "kind": st.just("fee"), "amount": AMOUNTS}
    taxes = draw(st.lists(part(Tax, **bare), max_size=2))
    zero = Decimal(0)
    net = sum((line.net for line in lines), zero)
    allowances = sum((one.amount for one in parts if not one.charge), zero)
    charges = sum((one.amount for one in parts if one.charge), zero)
    tax = sum((one.amount for one in taxes if one.amount), zero)
    paid, rounding, retained = draw(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS))
    without_tax = net - allowances + charges
    totals = Totals(
        lines=net,
        allowances=allowances,
        charges=charges,
        without_tax=without_tax,
        tax=tax,
        tax_accounting=draw(st.none() | AMOUNTS),
        with_tax=without_tax + tax,
        paid=paid,
        rounding=rounding,
        retained=retained,
        payable=without_tax + tax - paid + rounding - retained,
    )
    fixed = {"lines": lines, "allowances_charges": parts, "taxes": taxes, "totals": totals}
    return draw(
        part(
            Invoice,
            **{name: st.just(value) for name, value in fixed.items()},
            type_code=st.sampled_from(sorted(KIND_BY_TYPE_CODE)),
            number=st.from_regex(r"[A-Z0-9-]{1,12}", fullmatch=True),
            seller=of(typing.get_type_hints(Invoice)["seller"]).map(lambda one: one.model_copy(update={"name": "We"})),
            buyer=of(typing.get_type_hints(Invoice)["buyer"]).map(lambda one: one.model_copy(update={"name": "You"})),
        )
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(invoices(), st.booleans())
def test_every_invoice_comes_back_from_its_json(invoice: Invoice, short: bool) -> None:  # noqa: FBT001 - drawn
    """Written out in full or without defaults, an invoice is read as it was."""
    assert disagreements(invoice) == ()
    written = invoice.model_dump_json(exclude_defaults=short).encode()
    found = read_bytes(written, "any.json")
    assert (invoice, "json", {}) == (found.invoice, found.format, dict(found.blobs))
    assert invoice.canonical() == found.invoice.canonical()


def with_changes(**changes: Any) -> bytes:
    """The sample JSON with some of its top fields replaced; None removes one."""
    stated = json.loads(HUB_JSON.read_text()) | changes
    return json.dumps({key: value for key, value in stated.items() if value is not None}).encode()


def test_what_only_json_can_say_is_read() -> None:
    """Retention, sub-lines, party roles and typed attachments with their bytes."""
    found = read_bytes(HUB_JSON.read_bytes(), "hub.json")
    invoice = found.invoice
    assert str(invoice.totals.retained) == "60.00"
    assert [line.id for line in invoice.lines[0].sub_lines] == ["1.1", "1.2"]
    assert invoice.parties["remit_to"].name == "Ridgeline Collections"
    assert [hashlib.sha256(blob).hexdigest() for blob in found.blobs.values()] == [invoice.attachments[0].sha256]


def test_the_schema_beside_the_code_is_current() -> None:
    """What editors and ERP people read is what the hub takes."""
    written = (SOURCES / "invoice.schema.json").read_text()
    assert hub_json.schema() == written, "run: python -m hub.sources.json > hub/sources/invoice.schema.json"
    assert json.loads(written)["properties"]["number"]["description"] == "BT-1 invoice number"


BLOB = base64.b64encode(b"other").decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_changes(totals=None, currency=None), ["totals (BG-22) is missing", "currency (BT-5) is missing"]),
        (with_changes(issue_date=20261123), ["issue_date", "BT-2"]),
        (with_changes(issue_date="23.11.2026"), ["BT-2", "23.11.2026"]),
        (with_changes(number=1920), ["BT-1", "1920"]),
        (with_changes(blobs={}), ["attachments[0]", "lacks the bytes"]),
        (with_changes(blobs={"0" * 64: BLOB}), ["another SHA-256"]),
        (with_changes(attachments=[]), ["no attachment names these bytes"]),
        (with_changes(attachments=[{"name": "../../etc/passwd"}]), ["no plain file name"]),
        (with_changes(attachments=[{"name": "a\u202egpj.exe"}]), ["control characters"]),
        (with_changes(attachments=[{"name": "a", "url": "javascript:alert(1)"}]), ["javascript:alert(1)"]),
        (with_changes(number="RV\u001b[2J"), ["BT-1", "control characters"]),
        (b'{"number": "1", "number": "2"}', ["'number' stands twice"]),
        (b'{"number": 1.2345678901234567890}', ["cannot be read exactly"]),
        (b'{"number": NaN}', ["NaN"]),
        (b'{"number": "RV-1",\n "issue_', ["line 2", "half written"]),
        (b"[{}]", ["begins with '[{}]'"]),
        (b'{"a": ' + b"[" * 100_000, ["nests too deeply"]),
        (b'{"number": ' + b"1" * 5000 + b"}", ["4300 digits"]),
        (b'{"number": "M\xfcller"}', ["not UTF-8"]),
    ],
)
def test_json_that_is_no_invoice_is_refused_with_its_reasons(content: bytes, words: list[str]) -> None:
    """The message names the file, the field and the value."""
    with pytest.raises(Refused) as refused:
        read_bytes(content, "bad.json")
    assert [word for word in ["bad.json", *words] if word not in str(refused.value)] == []


def test_numbers_are_read_as_they_are_written() -> None:
    """A JSON number of up to fifteen digits is that decimal, not a float near it."""
    lines = [{"id": "1", "quantity": 3, "net": 1200.00, "price": 400.0}]
    stated = with_changes(lines=lines).replace(b'"net": 1200.0', b'"net": 1200.10').replace(b'"60.00"', b"59.9")
    totals = b'"lines": 1200.1, "without_tax": 1200.10, "tax": 34.80, "with_tax": 1234.9'
    before, _, after = stated.partition(b'"lines": "1200.00"')
    stated = before + totals + after.partition(b'"with_tax": "1234.80"')[2]
    invoice = read_bytes(stated.replace(b'"1174.80"', b"1175.0"), "numbers.json").invoice
    assert invoice.totals.lines == Decimal("1200.1")
    assert invoice.lines[0].net == Decimal("1200.10")
