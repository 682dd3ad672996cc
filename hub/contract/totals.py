"""EN 16931's arithmetic (BR-CO-10 to BR-CO-17): recompute every total from what it is made of and compare.

The rules, their rounding and tolerances are those of the official validation artefacts (EN16931-UBL-model.sch and
EN16931-CII-model.sch, ConnectingEurope/eInvoicing-EN16931). Sums are compared exactly after rounding to two decimals,
in every currency: EN 16931-1 (6.5.12, BR-DEC) allows two, so an invoice in yen or forint simply has zeros there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from hub.contract.invoice import AllowanceCharge, Invoice, Line, Tax

_ZERO = Decimal(0)
_CENT = Decimal("0.01")
_EXACT = Context(prec=150, rounding=ROUND_HALF_UP)  # amounts have 30 digits at most, so no product is ever rounded
_TAX_TOLERANCE = Decimal(1)  # BR-CO-17 in both artefacts: less than one unit of the currency off

# PEPPOL-EN16931-R120 gives a line two cents; where amounts are rounded to whole units (ISO 4217 without minor unit, and
# the forint in practice), one unit.
_LINE_TOLERANCE = Decimal("0.02")
_WHOLE_UNITS = frozenset(
    (
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "HUF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    )
)


@dataclass(frozen=True)
class Disagreement:
    """One amount that is not what it is made of; `message` says so in a clerk's words."""

    rule: str  # the EN 16931 rule, or the term that defines the amount
    field: str
    stated: Decimal
    computed: Decimal
    message: str


def disagreements(invoice: Invoice) -> tuple[Disagreement, ...]:
    """Every total that is not what EN 16931 makes it; empty for an invoice that adds up."""
    with localcontext(_EXACT):
        return tuple(_wrong_totals(invoice))


def doubtful_lines(invoice: Invoice) -> tuple[Disagreement, ...]:
    """Every line whose net amount (BT-131) is not quantity x price / base - allowances + charges.

    EN 16931 defines the amount so but has no rule on it, and a third of its own examples break it: a doubt to show and
    a matter for each customer's rules, no reason to refuse. Tolerance: PEPPOL-EN16931-R120.
    """
    tolerance = Decimal(1) if invoice.currency in _WHOLE_UNITS else _LINE_TOLERANCE
    with localcontext(_EXACT):
        return tuple(
            doubt
            for index, line in enumerate(invoice.lines)
            for doubt in _wrong_lines(line, f"lines[{index}]", tolerance, invoice.currency)
        )


def _wrong_totals(invoice: Invoice) -> Iterator[Disagreement]:
    totals = invoice.totals
    taxes = [tax for tax in invoice.taxes if not tax.withholding]
    allowances = [one for one in invoice.allowances_charges if not one.charge]
    charges = [one for one in invoice.allowances_charges if one.charge]
    due = totals.with_tax - totals.paid + totals.rounding - totals.withheld - totals.retained
    without_tax = totals.lines - totals.allowances + totals.charges
    # rule, field, what it is, what it is made of, stated, computed
    sums = (
        ("BR-CO-10", "lines", "sum of the lines (BT-106)", "the line net amounts", totals.lines, _nets(invoice.lines)),
        (
            "BR-CO-11",
            "allowances",
            "sum of the allowances (BT-107)",
            "the document's allowances",
            totals.allowances,
            _amounts(allowances),
        ),
        (
            "BR-CO-12",
            "charges",
            "sum of the charges (BT-108)",
            "the document's charges",
            totals.charges,
            _amounts(charges),
        ),
        (
            "BR-CO-13",
            "without_tax",
            "total without tax (BT-109)",
            "lines - allowances + charges",
            totals.without_tax,
            without_tax,
        ),
        ("BR-CO-14", "tax", "total tax (BT-110)", "the taxes of the breakdown", totals.tax, _amounts(taxes)),
        (
            "BR-CO-15",
            "with_tax",
            "total with tax (BT-112)",
            "total without tax + tax",
            totals.with_tax,
            totals.without_tax + totals.tax,
        ),
        (
            "BR-CO-16",
            "payable",
            "amount due (BT-115)",
            "total with tax - paid + rounding - withheld - retained",
            totals.payable,
            due,
        ),
    )
    for rule, field, what, made_of, stated, computed in sums:
        rounded = _to_cents(computed)
        if stated != rounded:
            yield _disagreement(rule, f"totals.{field}", (what, made_of), (stated, rounded), invoice.currency)
    # Ours: what is withheld comes from the withholding taxes, or was counted as paid and stands here as zero.
    withheld = _to_cents(_amounts(tax for tax in invoice.taxes if tax.withholding))
    if totals.withheld not in (_ZERO, withheld):
        what_made_of = ("withheld amount", "the withholding taxes")
        yield _disagreement("withheld", "totals.withheld", what_made_of, (totals.withheld, withheld), invoice.currency)
    for index, tax in enumerate(invoice.taxes):
        yield from _wrong_tax(tax, f"taxes[{index}].amount", invoice.currency)


def _wrong_tax(tax: Tax, field: str, currency: str) -> Iterator[Disagreement]:
    """BR-CO-17; a tax that has no rate must be nothing if it is VAT (category O), and may be a fixed amount if not."""
    if tax.amount is None or tax.taxable is None or (tax.rate is None and tax.kind != "VAT"):
        return
    computed = _to_cents(abs(tax.taxable) * (tax.rate or _ZERO) / 100).copy_sign(tax.taxable)
    if abs(tax.amount - computed) >= _TAX_TOLERANCE:
        what = (f"tax amount (BT-117) of {tax.kind} {tax.category}", f"{tax.taxable:,f} at {tax.rate or 0:f} %")
        yield _disagreement("BR-CO-17", field, what, (tax.amount, computed), currency)


def _wrong_lines(line: Line, field: str, tolerance: Decimal, currency: str) -> Iterator[Disagreement]:
    if line.price is not None and (line.price_base is None or line.price_base > 0):
        priced = line.quantity * line.price / (line.price_base or 1)
        computed = priced + sum(one.amount if one.charge else -one.amount for one in line.allowances_charges)
        if abs(line.net - computed) > tolerance:
            base = f" / {line.price_base:f}" if line.price_base not in (None, 1) else ""
            made_of = f"{line.quantity:f} x {line.price:f}{base} - allowances + charges"
            what = (f"net amount (BT-131) of line {line.id}", made_of)
            yield _disagreement("BT-131", f"{field}.net", what, (line.net, _to_cents(computed)), currency)
    if line.sub_lines and abs(line.net - (nets := _nets(line.sub_lines))) > tolerance:
        what = (f"net amount (BT-131) of line {line.id}", "its sub-lines")
        yield _disagreement("BT-131", f"{field}.net", what, (line.net, nets), currency)
    for index, sub_line in enumerate(line.sub_lines):
        yield from _wrong_lines(sub_line, f"{field}.sub_lines[{index}]", tolerance, currency)


def _disagreement(
    rule: str, field: str, what: tuple[str, str], amounts: tuple[Decimal, Decimal], currency: str
) -> Disagreement:
    (named, made_of), (stated, computed) = what, amounts
    message = (
        f"the {named} is stated as {stated:,f} {currency}, but {made_of} gives {computed:,f} {currency} ({rule}); "
        "correct the invoice at its source"
    )
    return Disagreement(rule, field, stated, computed, message)


def _nets(lines: Iterable[Line]) -> Decimal:
    return sum((line.net for line in lines), _ZERO)


def _amounts(parts: Iterable[AllowanceCharge | Tax]) -> Decimal:
    return sum((part.amount for part in parts if part.amount is not None), _ZERO)


def _to_cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT)
