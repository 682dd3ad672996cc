"""The canonical invoice: EN 16931's terms, and what portals need beyond them.

Every amount is a Decimal in the invoice's `currency` (EN 16931 BT-5), as in the standard; `Money` carries the currency
along wherever an amount leaves its invoice. Names follow EN 16931-1; the business term (BT) or group (BG) stands behind
each field. Signs are as EN 16931 has them: a credit note (381) carries positive amounts.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=10_000)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Amount = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=30)]


class Money(NamedTuple):
    """An amount with its currency (ISO 4217)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:,.2f} {self.currency}"


class Kind(StrEnum):
    """What a document does; part of its identity."""

    INVOICE = "invoice"
    CREDIT = "credit"
    DEBIT = "debit"
    CANCELLATION = "cancellation"


# UNTDID 1001, the codes EN 16931 allows for BT-3 and their kind. A code that is missing here is refused, never guessed.
_CODES_BY_KIND = {
    Kind.INVOICE: "71 80 82 84 102 130 202 203 204 211 218 219 295 325 326 331 380 382 384 385 386 387 388 389 390 393 "
    "394 395 456 457 471 472 473 500 501 502 503 527 553 575 623 633 751 780 817 870 875 876 877 935",
    Kind.CREDIT: "81 83 261 262 296 308 381 396 420 458 532",
    Kind.DEBIT: "383",
}
KIND_BY_TYPE_CODE = {code: kind for kind, codes in _CODES_BY_KIND.items() for code in codes.split()}


class Part(BaseModel):
    """The ground of every part of an invoice: immutable, and a field it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Identifier(Part):
    """An identifier and the scheme that issued it (ISO 6523 ICD, or a name such as DUNS or NetworkID)."""

    value: Word
    scheme: Text | None = None


class Address(Part):
    """A postal address (BG-5, BG-8, BG-12, BG-15)."""

    lines: tuple[Word, ...] = ()
    city: Text | None = None
    postal_code: Text | None = None
    region: Text | None = None
    country: Country | None = None


class Contact(Part):
    """Whom to ask (BG-6, BG-9)."""

    name: Text | None = None
    phone: Text | None = None
    email: Text | None = None


class Party(Part):
    """One of the parties of an invoice (BG-4, BG-7, BG-10, BG-11 and the open roles)."""

    name: Text | None = None  # BT-27, BT-44, BT-59, BT-62
    trading_name: Text | None = None  # BT-28, BT-45
    identifiers: tuple[Identifier, ...] = ()  # BT-29, BT-46, BT-60
    legal_id: Identifier | None = None  # BT-30, BT-47, BT-61
    vat_id: Text | None = None  # BT-31, BT-48, BT-63
    tax_id: Text | None = None  # BT-32
    legal_form: Text | None = None  # BT-33
    endpoint: Identifier | None = None  # BT-34, BT-49
    address: Address | None = None
    contact: Contact | None = None


class Period(Part):
    """From and to, both days included (BG-14, BG-26)."""

    start: dt.date | None = None
    end: dt.date | None = None


class Tax(Part):
    """One tax: of the document (BG-23), or of a line, where one line may bear several (GST and PST, state and county).

    `rate` is in percent, None where the category has none. `amount` is None for a line tax whose amount the source does
    not give: EN 16931 computes tax per category at the document's level.
    """

    category: Word  # BT-118, BT-151: UNTDID 5305 (S, Z, E, AE, K, G, O, L, M) or the buyer's word
    rate: Amount | None = None  # BT-119, BT-152
    taxable: Amount | None = None  # BT-116
    amount: Amount | None = None  # BT-117
    kind: Word = "VAT"  # VAT, GST, PST, HST, QST, sales, use …
    exemption_reason: Text | None = None  # BT-120
    exemption_code: Text | None = None  # BT-121
    location: Text | None = None
    withholding: bool = False


class AllowanceCharge(Part):
    """An allowance (taken off) or a charge (put on); of the document (BG-20, BG-21) or of a line (BG-27, BG-28)."""

    charge: bool
    amount: Amount  # BT-92, BT-99, BT-136, BT-141
    base: Amount | None = None  # BT-93, BT-100, BT-137, BT-142
    percent: Amount | None = None  # BT-94, BT-101, BT-138, BT-143
    tax_category: Text | None = None  # BT-95, BT-102
    tax_rate: Amount | None = None  # BT-96, BT-103
    reason: Text | None = None  # BT-97, BT-104, BT-139, BT-144
    reason_code: Text | None = None  # BT-98, BT-105, BT-140, BT-145


class AttachmentType(StrEnum):
    """What a supporting document is, in the words portals ask for."""

    INVOICE_IMAGE = "invoice_image"
    TIMESHEET = "timesheet"
    SIGNED_TICKET = "signed_ticket"
    PROOF_OF_DELIVERY = "proof_of_delivery"
    OTHER = "other"


class Attachment(Part):
    """A supporting document (BG-24). Its bytes lie in the store under `sha256`; a mere link has only `url`."""

    name: Word
    type: AttachmentType = AttachmentType.OTHER
    media_type: Text | None = None  # BT-125-1
    reference: Text | None = None  # BT-122
    description: Text | None = None  # BT-123
    url: Text | None = None  # BT-124
    sha256: Sha256 | None = None
    size: int | None = None  # bytes


class InvoiceReference(Part):
    """A preceding invoice (BG-3)."""

    number: Word  # BT-25
    issue_date: dt.date | None = None  # BT-26


class Note(Part):
    """A remark (BG-1); `subject` is UNTDID 4451."""

    text: Text  # BT-22
    subject: Text | None = None  # BT-21


class BankAccount(Part):
    """Where to pay (BG-17): `account` is an IBAN or a local number, `bank` a BIC or a routing number."""

    account: Word  # BT-84
    name: Text | None = None  # BT-85
    bank: Text | None = None  # BT-86


class Payment(Part):
    """How to pay (BG-16)."""

    means_code: Text | None = None  # BT-81, UNTDID 4461
    means_text: Text | None = None  # BT-82
    remittance: Text | None = None  # BT-83
    accounts: tuple[BankAccount, ...] = ()
    card_number: Text | None = None  # BT-87, the last digits only
    card_holder: Text | None = None  # BT-88
    mandate: Text | None = None  # BT-89
    creditor_id: Text | None = None  # BT-90
    debited_account: Text | None = None  # BT-91


class Delivery(Part):
    """Where and when it was delivered (BG-13)."""

    name: Text | None = None  # BT-70
    location: Identifier | None = None  # BT-71
    date: dt.date | None = None  # BT-72
    address: Address | None = None


class Attribute(Part):
    """A property of an item (BG-32)."""

    name: Word
    value: Text


class Line(Part):
    """One line (BG-25). `sub_lines` detail it and are already contained in its `net`."""

    id: Word  # BT-126
    quantity: Amount  # BT-129
    unit: Text | None = None  # BT-130, UN/ECE Recommendation 20 and 21
    net: Amount  # BT-131
    name: Text | None = None  # BT-153
    description: Text | None = None  # BT-154
    price: Amount | None = None  # BT-146, net price per `price_base` units
    price_base: Amount | None = None  # BT-149
    price_gross: Amount | None = None  # BT-148
    price_discount: Amount | None = None  # BT-147
    note: Text | None = None  # BT-127
    object_id: Identifier | None = None  # BT-128
    order_number: Text | None = None  # the line's own order, where an invoice covers several
    order_line: Text | None = None  # BT-132
    accounting_reference: Text | None = None  # BT-133
    period: Period | None = None  # BG-26
    allowances_charges: tuple[AllowanceCharge, ...] = ()
    taxes: tuple[Tax, ...] = ()  # BG-30, and further ones
    seller_item_id: Text | None = None  # BT-155
    buyer_item_id: Text | None = None  # BT-156
    standard_item_id: Identifier | None = None  # BT-157
    classifications: tuple[Identifier, ...] = ()  # BT-158
    origin_country: Country | None = None  # BT-159
    attributes: tuple[Attribute, ...] = ()
    sub_lines: tuple[Line, ...] = ()
    extensions: dict[str, str] = {}


class Totals(Part):
    """The document's totals (BG-22), as the source states them; `hub.contract.totals` recomputes and compares."""

    lines: Amount  # BT-106
    allowances: Amount = Decimal(0)  # BT-107
    charges: Amount = Decimal(0)  # BT-108
    without_tax: Amount  # BT-109
    tax: Amount = Decimal(0)  # BT-110
    tax_accounting: Amount | None = None  # BT-111, in `tax_currency`
    with_tax: Amount  # BT-112
    paid: Amount = Decimal(0)  # BT-113
    rounding: Amount = Decimal(0)  # BT-114
    withheld: Amount = Decimal(0)  # withholding taxes, taken off what is due
    retained: Amount = Decimal(0)  # retention, paid out later
    payable: Amount  # BT-115


class Invoice(Part):
    """One invoice, credit note or debit note, in EN 16931's terms and independent of any portal."""

    number: Word  # BT-1
    issue_date: dt.date  # BT-2
    type_code: Word  # BT-3, UNTDID 1001
    currency: Currency  # BT-5
    tax_currency: Currency | None = None  # BT-6
    tax_point_date: dt.date | None = None  # BT-7
    tax_point_code: Text | None = None  # BT-8
    due_date: dt.date | None = None  # BT-9
    buyer_reference: Text | None = None  # BT-10
    project_reference: Text | None = None  # BT-11
    contract_reference: Text | None = None  # BT-12
    purchase_order_reference: Text | None = None  # BT-13
    order_date: dt.date | None = None
    sales_order_reference: Text | None = None  # BT-14
    receiving_advice_reference: Text | None = None  # BT-15
    despatch_advice_reference: Text | None = None  # BT-16
    tender_reference: Text | None = None  # BT-17
    object_id: Identifier | None = None  # BT-18
    accounting_reference: Text | None = None  # BT-19
    payment_terms: Text | None = None  # BT-20
    notes: tuple[Note, ...] = ()
    process: Text | None = None  # BT-23
    specification: Text | None = None  # BT-24
    preceding: tuple[InvoiceReference, ...] = ()  # BG-3
    seller: Party
    buyer: Party
    payee: Party | None = None  # BG-10
    tax_representative: Party | None = None  # BG-11
    parties: dict[str, Party] = {}  # open roles: remit_to, ship_from, sold_to, operator_site …
    delivery: Delivery | None = None
    period: Period | None = None
    payment: Payment | None = None
    allowances_charges: tuple[AllowanceCharge, ...] = ()
    totals: Totals
    taxes: tuple[Tax, ...] = ()  # BG-23, and withholdings
    attachments: tuple[Attachment, ...] = ()
    lines: Annotated[tuple[Line, ...], Field(min_length=1)]
    portal_number: Text | None = None  # the number the portal shall show, where it differs from ours
    portal_date: dt.date | None = None
    extensions: dict[str, str] = {}  # names are declared in mappings/extensions.yaml

    @property
    def kind(self) -> Kind:
        """What this document does, by its type code; KeyError for a code that is none of EN 16931's."""
        return KIND_BY_TYPE_CODE[self.type_code]

    @property
    def payable(self) -> Money:
        """What is due (BT-115), with its currency."""
        return Money(self.totals.payable, self.currency)

    @property
    def total(self) -> Money:
        """The total with tax (BT-112), which portals show and lookups compare."""
        return Money(self.totals.with_tax, self.currency)

    @property
    def shown_number(self) -> str:
        """The number a portal shows: `portal_number`, else our own."""
        return self.portal_number or self.number

    @cached_property
    def order_numbers(self) -> tuple[str, ...]:
        """Every order the invoice names, header first, each once."""
        named = (self.purchase_order_reference, *(line.order_number for line in self.lines))
        return tuple(dict.fromkeys(number for number in named if number))

    def canonical(self) -> dict[str, Any]:
        """What the content hash is taken over: every field that is set, as JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True)


Line.model_rebuild()


def number_key(number: str) -> str:
    """A number as identities compare it: trimmed, case-folded (architecture, decision 1)."""
    return number.strip().casefold()
