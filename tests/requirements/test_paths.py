from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from, text

from hub.contract.invoice import Invoice
from hub.requirements.extensions import Extension, Level, Vocabulary
from hub.requirements.paths import NO_FACTS, Facts, FieldPath, Leaf, Root, field_path, is_empty, text_of, typed

VOCABULARY = Vocabulary(
    {
        name: Extension(name=name, type=type_, level=level, label=name)
        for name, type_, level in (
            ("cost_center", "text", Level.BOTH),
            ("po_date", "text", Level.HEADER),
            ("hours", "number", Level.LINE),
            ("visit", "date", Level.HEADER),
        )
    }
)
INVOICE = Invoice.model_validate(
    {
        "number": "INV-7",
        "issue_date": "2026-09-08",
        "type_code": "380",
        "currency": "USD",
        "seller": {"name": "Northfield", "address": {"lines": ["12 Mill Road", "Gate 3"], "city": "Dayton"}},
        "buyer": {"name": "Cascadia"},
        "parties": {"remit_to": {"name": "Northfield Bank Box"}},
        "totals": {"lines": "1E+2", "without_tax": "100", "with_tax": "100.00", "payable": "100.00"},
        "lines": [
            {"id": "1", "quantity": "2", "net": "60", "unit": "EA", "taxes": [{"category": "S"}, {"category": "Z"}]},
            {"id": "2", "quantity": "1", "net": "40", "taxes": [{"category": "E"}], "extensions": {"hours": "1.50"}},
        ],
        "attachments": [{"name": "scan.pdf"}],
        "allowances_charges": [{"charge": "true", "amount": "1"}],
        "extensions": {"cost_center": "0815", "visit": "2026-08-31"},
    }
)
FACTS = Facts(portal_customer="AN1", time_zone="Europe/Berlin", account={"bill_to": "77"}, customer={"gln": "40"})


def path(text: str) -> FieldPath:
    return field_path(text, VOCABULARY)


def values(text: str) -> dict[str, Any]:
    compiled = path(text)
    owners = compiled.owners(INVOICE, FACTS)
    return {compiled.shown(INVOICE, n): compiled.value(owner) for n, owner in enumerate(owners)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("number", {"number": "INV-7"}),
        ("buyer.name", {"buyer.name": "Cascadia"}),
        ("totals.payable", {"totals.payable": Decimal("100.00")}),
        ("issue_date", {"issue_date": dt.date(2026, 9, 8)}),
        ("parties.remit_to.name", {"parties.remit_to.name": "Northfield Bank Box"}),
        ("parties.ship_from.address.city", {"parties.ship_from.address.city": None}),
        ("payee.address.city", {"payee.address.city": None}),
        ("lines[].unit", {"lines[0].unit": "EA", "lines[1].unit": None}),
        ("lines[0].unit", {"lines[0].unit": "EA"}),
        ("lines[9].unit", {"lines[9].unit": None}),
        (
            "lines[].taxes[].category",
            {"lines[0].taxes[0].category": "S", "lines[0].taxes[1].category": "Z", "lines[1].taxes[0].category": "E"},
        ),
        ("lines[].taxes[0].category", {"lines[0].taxes[0].category": "S", "lines[1].taxes[0].category": "E"}),
        ("seller.address.lines[]", {"seller.address.lines[0]": "12 Mill Road", "seller.address.lines[1]": "Gate 3"}),
        ("buyer.address.lines[]", {}),
        ("notes[].text", {}),
        ("lines[].sub_lines[].unit", {}),
        ("extensions.cost_center", {"extensions.cost_center": "0815"}),
        ("extensions.po_date", {"extensions.po_date": None}),
        ("extensions.visit", {"extensions.visit": dt.date(2026, 8, 31)}),
        ("lines[].extensions.hours", {"lines[0].extensions.hours": None, "lines[1].extensions.hours": Decimal("1.50")}),
        ("allowances_charges[].charge", {"allowances_charges[0].charge": True}),
        ("kind", {"kind": "invoice"}),
        ("shown_number", {"shown_number": "INV-7"}),
        ("order_numbers[]", {}),
        ("account.portal_customer", {"account.portal_customer": "AN1"}),
        ("account.identifiers.bill_to", {"account.identifiers.bill_to": "77"}),
        ("entity.identifiers.duns", {"entity.identifiers.duns": None}),
        ("customer.identifiers.gln", {"customer.identifiers.gln": "40"}),
    ],
)
def test_a_path_reads_every_value_it_names_and_says_which(text: str, expected: dict[str, Any]) -> None:
    """A path gives each value with the name of its own place, and None where a part on the way is missing."""
    assert expected == values(text)


@pytest.mark.parametrize(
    ("text", "leaf", "root"),
    [
        ("number", Leaf.TEXT, Root.INVOICE),
        ("totals.tax", Leaf.NUMBER, Root.INVOICE),
        ("attachments[].size", Leaf.NUMBER, Root.EACH),
        ("due_date", Leaf.DATE, Root.INVOICE),
        ("taxes[].withholding", Leaf.FLAG, Root.EACH),
        ("parties.remit_to", Leaf.PART, Root.INVOICE),
        ("attachments", Leaf.PART, Root.INVOICE),
        ("attachments[].type", Leaf.TEXT, Root.EACH),
        ("extensions", Leaf.PART, Root.INVOICE),
        ("account.time_zone", Leaf.TEXT, Root.FACTS),
    ],
)
def test_a_path_knows_what_stands_at_its_end(text: str, leaf: Leaf, root: Root) -> None:
    """The model tells what a value is and where it is read from, before any invoice is seen."""
    compiled = path(text)
    assert (leaf, root) == (compiled.leaf, compiled.root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("purchase_order_ref", "unknown field 'purchase_order_ref'; did you mean 'purchase_order_reference'?"),
        ("seller.adress.city", "unknown field 'adress' in 'seller.adress.city'; did you mean 'address'?"),
        ("lines.unit", "'lines' is a list; write [] behind it for each of them, or [0] for the first"),
        ("lines.taxes.rate", "'lines' is a list; write [] behind it"),
        ("seller.address.lines.x", "'seller.address.lines' is a list; write [] behind it"),
        ("number[]", "'number' in 'number[]' is no list; leave [] out"),
        ("number.x", "'number.x' goes on where there is nothing more; leave '.x' out"),
        ("lines[].extensions.hour", "the extension 'hour' is declared for no line in mappings/extensions.yaml"),
        ("extensions.hours", "the extension 'hours' is declared for no header in mappings/extensions.yaml"),
        ("account.portal_custmer", "unknown field 'account.portal_custmer'; did you mean 'account.portal_customer'?"),
        ("account.identifiers.a.b", "unknown field 'account.identifiers.a.b'"),
        ("", "'' in '' is no field name"),
        ("lines[-1].unit", "'lines[-1]' in 'lines[-1].unit' is no field name"),
        ("seller.__class__", "unknown field '__class__' in 'seller.__class__'"),
        ("number.upper()", "'upper()' in 'number.upper()' is no field name"),
        ("model_dump", "unknown field 'model_dump'"),
        ("a." * 200, "a field of 400 characters is no field"),
    ],
)
def test_a_path_that_is_none_is_refused_with_what_was_meant(text: str, message: str) -> None:
    """Whatever the model does not have is refused when it is written down; nothing of Python can be reached."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        path(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1E+2"), "100"),
        (Decimal("1.10"), "1.10"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (True, "true"),
        (7, "7"),
        (None, ""),
    ],
)
def test_values_are_written_plainly(value: object, expected: str) -> None:
    """No exponent, no local form of a date, nothing as nothing."""
    assert expected == text_of(value)


def test_a_number_is_compared_as_a_number_and_nothing_else_is_one() -> None:
    """20 and 20.00 are one number; NaN and words are none."""
    assert typed(Leaf.NUMBER, "20") == Decimal("20.00")
    for word in ("NaN", "Infinity", "twenty"):
        with pytest.raises(ValueError, match=f"'{word}' is no number"):
            typed(Leaf.NUMBER, word)


def test_zero_and_false_are_something() -> None:
    """Only what is not there is empty."""
    assert [is_empty(value) for value in (Decimal(0), False, None, "", ())] == [False, False, True, True, True]


def test_an_extension_that_is_no_such_value_is_left_as_it_is() -> None:
    """A bad date reaches the check of its form, which tells the clerk."""
    broken = INVOICE.model_copy(update={"extensions": {"visit": "yesterday"}})
    assert path("extensions.visit").value(broken) == "yesterday"


@given(
    text(alphabet="abdeilmnorsux_.[]019- ", max_size=30)
    | sampled_from(list(Invoice.model_fields)).map("{}[].id".format)
)
def test_any_text_is_a_path_or_is_refused(words: str) -> None:
    """No text ends in anything but a path that can be read or a ValueError."""
    try:
        compiled = path(words)
    except ValueError:
        return
    for n, owner in enumerate(compiled.owners(INVOICE, FACTS)):
        assert compiled.shown(INVOICE, n)
        compiled.value(owner)


def test_an_unknown_type_code_has_no_kind() -> None:
    """A code that EN 16931 does not know is no kind of document, and no error."""
    assert path("kind").value(INVOICE.model_copy(update={"type_code": "999"})) is None


def test_facts_may_all_be_unknown() -> None:
    """Nothing known of the account is nothing, not an error."""
    compiled = path("account.portal_customer")
    assert [compiled.value(owner) for owner in compiled.owners(INVOICE, NO_FACTS)] == [None]
