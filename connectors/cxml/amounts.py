"""The sums a cXML invoice states, recomputed from what they are made of and compared with the invoice's own totals.

cXML 1.2.069, InvoiceDetailSummary: Gross = Subtotal + Tax + Shipping + SpecialHandling; Net = Gross + charges -
allowances; Due = Net - Deposit. A document whose sums do not close is never sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, localcontext
from typing import NamedTuple

from hub.contract.invoice import AllowanceCharge, Invoice, Line, Tax
from hub.contract.totals import doubtful_lines

EXACT = Context(prec=80)  # amounts have up to 30 digits
# UNTDID 7161: cXML has elements of their own for these and forbids a Modification (1.2.069, AdditionalCost).
FREIGHT = frozenset({"FC"})
HANDLING = frozenset({"HD"})
_ZERO = Decimal(0)


class LineAmounts(NamedTuple):
    """A line's sums, signed as in the invoice."""

    subtotal: Decimal  # before its allowances and charges
    charges: Decimal
    allowances: Decimal
    tax: Decimal  # of the line's taxes, as far as they have amounts
    price: Decimal  # per price base; 0 where the invoice gives none


class Amounts(NamedTuple):
    """The document's sums, signed as in the invoice, and in a clerk's words what does not add up."""

    lines: tuple[LineAmounts, ...]
    changes: tuple[AllowanceCharge, ...]  # the document's allowances and charges but freight and handling
    subtotal: Decimal
    tax: Decimal  # less what is withheld
    handling: Decimal
    shipping: Decimal
    charges: Decimal
    allowances: Decimal
    without_tax: Decimal
    gross: Decimal
    net: Decimal
    tax_in_lines: bool  # whether every line's tax is known and they make up the whole tax
    problems: tuple[str, ...]


def add_up(invoice: Invoice, *, lines_matter: bool) -> Amounts:
    """The sums of `invoice`; with `lines_matter`, each line is split into its price and its allowances and charges."""
    with localcontext(EXACT):
        totals = invoice.totals
        wrong = [doubt.message for doubt in doubtful_lines(invoice)] if lines_matter else []
        lines = tuple(_line(line, wrong) if lines_matter else _whole(line) for line in invoice.lines)
        apart = FREIGHT | HANDLING
        changes = tuple(c for c in invoice.allowances_charges if not (c.charge and c.reason_code in apart))
        shipping, handling = (
            sum((c.amount for c in invoice.allowances_charges if c.charge and c.reason_code in codes), _ZERO)
            for codes in (FREIGHT, HANDLING)
        )
        subtotal = sum((line.subtotal for line in lines), _ZERO)
        charges = sum((line.charges for line in lines), _ZERO) + _sum(changes, charge=True)
        allowances = sum((line.allowances for line in lines), _ZERO) + _sum(changes, charge=False)
        without_tax = subtotal + charges - allowances + shipping + handling
        tax = _taxes(invoice.taxes, withholding=False, wrong=wrong)
        withheld = _taxes(invoice.taxes, withholding=True, wrong=wrong)
        gross = subtotal + tax - withheld + shipping + handling
        net = gross + charges - allowances
        stated = (
            ("the total without tax (BT-109)", totals.without_tax, without_tax),
            ("the tax (BT-110)", totals.tax, tax),
            ("the withheld tax", totals.withheld, withheld),
            ("the total with tax (BT-112)", totals.with_tax, net + withheld),
            ("the amount due (BT-115)", totals.payable, net - totals.paid),
        )
        wrong += [
            f"{what} is {said} {invoice.currency}, but its parts come to {parts}; correct it at the source"
            for what, said, parts in stated
            if said != parts
        ]
        wrong += [
            f"{what} of {value} {invoice.currency} has no place in cXML's totals; key this invoice by hand"
            for what, value in (("a rounding", totals.rounding), ("a retention", totals.retained))
            if value
        ]
        in_lines = _tax_in_lines(invoice, tax)
    return Amounts(
        lines, changes, subtotal, tax - withheld, handling, shipping, charges, allowances, without_tax, gross, net,
        in_lines, tuple(wrong),
    )  # fmt: skip


def _line(line: Line, wrong: list[str]) -> LineAmounts:
    changes = line.allowances_charges
    charges, allowances = (_sum(changes, charge=True), _sum(changes, charge=False)) if changes else (_ZERO, _ZERO)
    subtotal = line.net + allowances - charges
    if line.price is None:
        wrong.append(f"line {line.id}: no unit price (BT-146)")
    elif line.price_base is not None and line.price_base <= 0:
        wrong.append(f"line {line.id}: the price is per {line.price_base} units (BT-149); it must be more than 0")
    if any(change.charge and change.reason_code in FREIGHT | HANDLING for change in changes):
        wrong.append(f"line {line.id}: freight or handling on a line; put it on the invoice as a whole")
    return LineAmounts(subtotal, charges, allowances, _known(line.taxes), line.price or _ZERO)


def _whole(line: Line) -> LineAmounts:
    return LineAmounts(line.net, _ZERO, _ZERO, _known(line.taxes), line.price or _ZERO)


def _sum(changes: Iterable[AllowanceCharge], *, charge: bool) -> Decimal:
    return sum((change.amount for change in changes if change.charge is charge), _ZERO)


def _known(taxes: Iterable[Tax]) -> Decimal:
    return sum([tax.amount for tax in taxes if tax.amount is not None], _ZERO)


def _taxes(taxes: Iterable[Tax], *, withholding: bool, wrong: list[str]) -> Decimal:
    wanted = [tax for tax in taxes if tax.withholding is withholding]
    wrong += [
        f"the {tax.kind} of category {tax.category} has no amount (BT-117)" for tax in wanted if tax.amount is None
    ]
    return _known(wanted)


def _tax_in_lines(invoice: Invoice, tax: Decimal) -> bool:
    """Whether each line's tax is computed and they make up the document's; a withholding is stated as a whole only."""
    every = [each for line in invoice.lines for each in line.taxes]
    return (
        all(line.taxes for line in invoice.lines)
        and all(each.amount is not None and not each.withholding for each in every)
        and not any(each.withholding for each in invoice.taxes)
        and _known(every) == tax
    )
