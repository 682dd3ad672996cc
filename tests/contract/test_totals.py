from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from hub.contract.invoice import Invoice
from hub.contract.totals import disagreements, doubtful_lines

GOOD: dict[str, Any] = {
    "number": "RV-1",
    "issue_date": dt.date(2026, 10, 5),
    "type_code": "380",
    "currency": "EUR",
    "seller": {"name": "Ridgeline"},
    "buyer": {"name": "Meridian"},
    "allowances_charges": [
        {"charge": False, "amount": "5.00"},
        {"charge": True, "amount": "2.50"},
    ],
    "totals": {
        "lines": "100.00",
        "allowances": "5.00",
        "charges": "2.50",
        "without_tax": "97.50",
        "tax": "18.53",
        "with_tax": "116.03",
        "paid": "16.00",
        "rounding": "-0.03",
        "withheld": "9.75",
        "retained": "10.00",
        "payable": "80.25",
    },
    "taxes": [
        {"category": "S", "rate": "19", "taxable": "97.50", "amount": "18.53"},
        {"category": "W", "rate": "10", "taxable": "97.50", "amount": "9.75", "kind": "IRPF", "withholding": True},
    ],
    "lines": [
        {"id": "1", "quantity": "3", "net": "60.00", "price": "20.00"},
        {"id": "2", "quantity": "400", "net": "40.00", "price": "10.00", "price_base": "100"},
    ],
}


def invoice(**more: Any) -> Invoice:
    """The good invoice with some fields replaced; `totals` are merged."""
    totals = GOOD["totals"] | more.pop("totals", {})
    return Invoice.model_validate(GOOD | more | {"totals": totals})


def broken(found: Invoice) -> list[tuple[str, str]]:
    """The rules that are broken, and the fields."""
    return [(one.rule, one.field) for one in disagreements(found)]


def test_an_invoice_that_adds_up_has_no_disagreements() -> None:
    """Lines, allowances, charges, taxes, what is paid, withheld and retained: all agree."""
    assert broken(invoice()) == []
    assert doubtful_lines(invoice()) == ()


@pytest.mark.parametrize(
    ("field", "stated", "rules"),
    [
        ("lines", "100.01", {"BR-CO-10", "BR-CO-13"}),
        ("allowances", "5.01", {"BR-CO-11", "BR-CO-13"}),
        ("charges", "2.51", {"BR-CO-12", "BR-CO-13"}),
        ("without_tax", "97.51", {"BR-CO-13", "BR-CO-15"}),
        ("tax", "18.54", {"BR-CO-14", "BR-CO-15"}),
        ("with_tax", "116.04", {"BR-CO-15", "BR-CO-16"}),
        ("paid", "16.01", {"BR-CO-16"}),
        ("rounding", "-0.04", {"BR-CO-16"}),
        ("retained", "10.01", {"BR-CO-16"}),
        ("withheld", "9.76", {"BR-CO-16", "withheld"}),
        ("payable", "80.24", {"BR-CO-16"}),
    ],
)
def test_one_cent_off_breaks_exactly_the_rules_of_that_total(field: str, stated: str, rules: set[str]) -> None:
    """Sums have no tolerance; each wrong total names its rules."""
    assert {rule for rule, _ in broken(invoice(totals={field: stated}))} == rules


def test_a_disagreement_says_both_amounts_in_a_clerks_words() -> None:
    """Rule, field, what is stated, what it should be, and a sentence."""
    [found] = disagreements(invoice(totals={"payable": "1080.25"}))
    assert (found.rule, found.field, found.stated, found.computed) == (
        "BR-CO-16",
        "totals.payable",
        Decimal("1080.25"),
        Decimal("80.25"),
    )
    assert found.message == (
        "the amount due (BT-115) is stated as 1,080.25 EUR, but total with tax - paid + rounding - withheld - retained "
        "gives 80.25 EUR (BR-CO-16); correct the invoice at its source"
    )


@pytest.mark.parametrize(
    ("amount", "agrees"), [("18.53", True), ("19.52", True), ("17.54", True), ("19.53", False), ("17.53", False)]
)
def test_a_tax_may_be_less_than_one_unit_off(amount: str, *, agrees: bool) -> None:
    """BR-CO-17 in the official artefacts: the tax amount is within one unit of taxable times rate."""
    tax = GOOD["taxes"][0] | {"amount": amount}
    found = invoice(taxes=[tax, GOOD["taxes"][1]])
    assert ("BR-CO-17" not in {rule for rule, _ in broken(found)}) == agrees


def test_negative_taxes_are_held_to_their_sign() -> None:
    """A tax on a negative base is negative; the same amount with the other sign disagrees."""
    for amount, rules in (("-19.00", []), ("19.00", [("BR-CO-17", "taxes[0].amount")])):
        found = invoice(
            allowances_charges=[],
            taxes=[{"category": "S", "rate": "19", "taxable": "-100", "amount": amount}],
            lines=[{"id": "1", "quantity": "-1", "net": "-100"}],
            totals={
                "lines": "-100",
                "allowances": "0",
                "charges": "0",
                "without_tax": "-100",
                "tax": amount,
                "with_tax": Decimal(-100) + Decimal(amount),
                "paid": "0",
                "rounding": "0",
                "withheld": "0",
                "retained": "0",
                "payable": Decimal(-100) + Decimal(amount),
            },
        )
        assert broken(found) == rules


def test_vat_without_a_rate_is_nothing_but_another_tax_may_be_a_fixed_amount() -> None:
    """Category O has no rate and no tax; a fee per piece has no rate and an amount."""
    for kind, rules in (("VAT", {"BR-CO-17"}), ("fee", set())):
        tax = {"category": "O", "taxable": "97.50", "amount": "18.53", "kind": kind}
        assert {rule for rule, _ in broken(invoice(taxes=[tax, GOOD["taxes"][1]]))} == rules


def test_withholding_that_is_only_mentioned_takes_nothing_off() -> None:
    """Withheld zero beside a withholding tax agrees: the source counted it as paid."""
    assert broken(invoice(totals={"withheld": "0", "payable": "90.00"})) == []


@pytest.mark.parametrize(("currency", "total"), [("HUF", "23440"), ("JPY", "23440"), ("EUR", "23440.00")])
def test_sums_are_exact_in_currencies_without_cents_too(currency: str, total: str) -> None:
    """EN 16931 allows two decimals everywhere: an integer sum agrees, a rounded one does not."""
    whole = {
        "currency": currency,
        "allowances_charges": [],
        "taxes": [],
        "totals": dict.fromkeys(("lines", "without_tax", "with_tax", "payable"), total)
        | dict.fromkeys(("allowances", "charges", "tax", "paid", "rounding", "withheld", "retained"), "0"),
    }
    exact = [{"id": "1", "quantity": "1", "net": "20000"}, {"id": "2", "quantity": "1", "net": "3440"}]
    cents = [{"id": "1", "quantity": "1", "net": "20000"}, {"id": "2", "quantity": "1", "net": "3439.76"}]
    assert broken(invoice(**whole, lines=exact)) == []
    assert broken(invoice(**whole, lines=cents)) == [("BR-CO-10", "totals.lines")]


def test_a_sum_of_fractions_is_rounded_once() -> None:
    """BR-CO-10 rounds the sum, not its parts: three times a third of a cent is a cent."""
    thirds = [{"id": str(at), "quantity": "1", "net": "33.3333"} for at in range(3)]
    assert broken(invoice(lines=thirds)) == []


@pytest.mark.parametrize(
    ("line", "doubted"),
    [
        ({"quantity": "2", "price": "20.00", "net": "40.02"}, False),
        ({"quantity": "2", "price": "20.00", "net": "40.03"}, True),
        ({"quantity": "2", "price": "1273", "net": "1273"}, True),
        ({"quantity": "64", "price": "361.09", "price_base": "100", "net": "231.10"}, False),
        ({"quantity": "-6", "price": "18.33", "net": "-109.98"}, False),
        ({"quantity": "6", "price": "18.33", "net": "-109.98"}, True),
        (
            {
                "quantity": "1",
                "price": "10",
                "net": "8",
                "allowances_charges": [{"charge": False, "amount": "3"}, {"charge": True, "amount": "1"}],
            },
            False,
        ),
        ({"quantity": "2", "net": "7"}, False),  # without a price there is nothing to compute
        ({"quantity": "2", "price": "1", "price_base": "0", "net": "7"}, False),  # nothing can be divided by 0
    ],
)
def test_a_line_whose_net_is_not_its_price_times_quantity_is_doubted(line: dict[str, Any], *, doubted: bool) -> None:
    """Two cents are allowed (PEPPOL-EN16931-R120); what is off more is a doubt, no disagreement."""
    found = invoice(lines=[{"id": "1"} | line])
    assert bool(doubtful_lines(found)) == doubted
    assert all(rule != "BT-131" for rule, _ in broken(found))


def test_a_forint_line_may_be_rounded_to_whole_units() -> None:
    """Where money has no cents in practice, a line is rounded to whole units."""
    line = {"id": "1", "quantity": "64", "price": "36109", "price_base": "100", "net": "23110"}
    assert doubtful_lines(invoice(currency="HUF", lines=[line])) == ()
    assert [one.computed for one in doubtful_lines(invoice(currency="EUR", lines=[line]))] == [Decimal("23109.76")]


def test_sub_lines_make_up_their_line() -> None:
    """A line whose sub-lines give another sum is doubted, and so is each sub-line by its own price."""
    sub_lines = [
        {"id": "1.1", "quantity": "1", "net": "30"},
        {"id": "1.2", "quantity": "2", "net": "30", "price": "10"},
    ]
    line = {"id": "1", "quantity": "1", "net": "61", "sub_lines": sub_lines}
    assert [one.field for one in doubtful_lines(invoice(lines=[line]))] == ["lines[0].net", "lines[0].sub_lines[1].net"]


def test_amounts_of_thirty_digits_are_computed_exactly() -> None:
    """No context of the caller and no size of an amount can round a sum or raise."""
    huge = "9" * 27 + ".99"
    lines = [{"id": "1", "quantity": "9" * 30, "price": "0." + "9" * 29, "net": huge}]
    found = invoice(lines=lines, totals={"lines": huge})
    assert ("BR-CO-10", "totals.lines") not in broken(found)
    assert [one.rule for one in doubtful_lines(found)] == ["BT-131"]
