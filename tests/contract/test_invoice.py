from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from hub.contract.invoice import KIND_BY_TYPE_CODE, Invoice, Kind, Money, number_key


def fields(**more: Any) -> dict[str, Any]:
    """The least that makes an invoice."""
    return {
        "number": "RV-1",
        "issue_date": dt.date(2026, 10, 5),
        "type_code": "380",
        "currency": "USD",
        "seller": {"name": "Ridgeline"},
        "buyer": {"name": "Cascadia"},
        "totals": {"lines": "10", "without_tax": "10", "with_tax": "10", "payable": "10"},
        "lines": [{"id": "1", "quantity": "2", "net": "10"}],
    } | more


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("380", Kind.INVOICE),
        ("384", Kind.INVOICE),
        ("389", Kind.INVOICE),
        ("326", Kind.INVOICE),
        ("381", Kind.CREDIT),
        ("261", Kind.CREDIT),
        ("383", Kind.DEBIT),
    ],
)
def test_the_type_code_says_what_a_document_does(code: str, kind: Kind) -> None:
    """A corrected, self-billed or partial invoice is an invoice; only credits and debits are something else."""
    assert kind == Invoice.model_validate(fields(type_code=code)).kind


def test_a_type_code_that_is_none_has_no_kind() -> None:
    """An unknown code is an error, never taken for an invoice."""
    with pytest.raises(KeyError):
        _ = Invoice.model_validate(fields(type_code="999")).kind
    assert "cancellation" not in KIND_BY_TYPE_CODE.values()


def test_amounts_leave_the_invoice_with_their_currency() -> None:
    """Payable and total are money, not numbers."""
    totals = {"lines": "10", "without_tax": "10", "tax": "2", "with_tax": "12", "paid": "5", "payable": "7"}
    invoice = Invoice.model_validate(fields(totals=totals))
    assert Money(Decimal(7), "USD") == invoice.payable
    assert Money(Decimal(12), "USD") == invoice.total
    assert str(Money(Decimal("1234.5"), "USD")) == "1,234.50 USD"


def test_every_order_is_named_once_header_first() -> None:
    """Orders come from the header and from lines, in their order, without repeats."""
    lines = [
        {"id": str(at), "quantity": "1", "net": "1", "order_number": order}
        for at, order in enumerate(("B", "A", None, "C"))
    ]
    invoice = Invoice.model_validate(fields(purchase_order_reference="A", lines=lines))
    assert invoice.order_numbers == ("A", "B", "C")


def test_the_portal_shows_our_number_unless_told_otherwise() -> None:
    """A portal number replaces ours only where it is given."""
    assert Invoice.model_validate(fields()).shown_number == "RV-1"
    assert Invoice.model_validate(fields(portal_number="RV-1-A")).shown_number == "RV-1-A"


def test_the_canonical_form_holds_what_is_set_and_nothing_else() -> None:
    """Fields that have their default value do not change the content hash."""
    plain = Invoice.model_validate(fields())
    spelt_out = Invoice.model_validate(fields(notes=[], due_date=None, extensions={}))
    assert plain.canonical() == spelt_out.canonical()
    assert plain.canonical()["totals"]["payable"] == "10"
    assert plain.canonical() != Invoice.model_validate(fields(due_date=dt.date(2026, 11, 5))).canonical()


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": " "},
        {"currency": "usd"},
        {"currency": "USDX"},
        {"lines": []},
        {"seller": {"name": "R", "address": {"country": "Germany"}}},
        {"lines": [{"id": "1", "quantity": "NaN", "net": "1"}]},
        {"lines": [{"id": "1", "quantity": "1", "net": "9" * 31}]},
        {"issue_dat": dt.date(2026, 10, 5)},
    ],
)
def test_what_is_no_invoice_is_refused(wrong: dict[str, Any]) -> None:
    """Blank numbers, words for codes, no lines, numbers that are none and unknown fields are errors."""
    with pytest.raises(ValidationError):
        Invoice.model_validate(fields(**wrong))


def test_an_invoice_does_not_change() -> None:
    """Its fields cannot be set after it is made."""
    with pytest.raises(ValidationError):
        Invoice.model_validate(fields()).number = "other"  # type: ignore[misc]


def test_numbers_are_compared_trimmed_and_case_folded() -> None:
    """One number however it is typed (architecture, decision 1)."""
    assert number_key(" Rv-26-Straße ") == number_key("RV-26-STRASSE")
    assert number_key("RV-26-1") != number_key("RV-261")
