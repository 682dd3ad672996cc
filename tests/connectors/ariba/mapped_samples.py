"""Mapped invoices of every kind that the connector sends. Every company, person and number is invented.

Run as a script it writes what the connector makes of them to fixtures/expected/ariba; look at the difference.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.ariba.document import prepare
from connectors.ariba.settings import AribaSettings
from hub.contract.connector import MappedInvoice, Refs, Stamp
from hub.contract.invoice import Invoice

EXPECTED = Path(__file__).resolve().parents[3] / "fixtures" / "expected" / "ariba"
SESAME = 'sesame & "<open>"'
STAMP = Stamp(
    payload_id="20261012T143000.5f2c9a71@hub.example",
    at=dt.datetime(2026, 10, 12, 14, 30, tzinfo=dt.UTC),
    boundary="part-5f2c9a71",
    marker="marker-8d1f0c",
)
SELLER = {
    "name": "Kestrel Bearings Ltd",
    "tax_id": "84-5550007",
    "address": {
        "lines": ["14 Foundry Lane", "Unit 3"],
        "city": "Tulsa",
        "region": "OK",
        "postal_code": "74103",
        "country": "US",
    },
    "contact": {"email": "billing@kestrel.example"},
}
BUYER = {
    "name": "Orchard & Vale Mills",
    "address": {
        "lines": ["900 Mill Road"],
        "city": "Boise",
        "region": "ID",
        "postal_code": "83702",
        "country": "US",
    },
}
DOCK = {"name": "Vale Mill 2", "address": {"lines": ["2 Dock Street"], "city": "Boise", "country": "US"}}
FIELDS = {"to_anid": "AN01000000777-T", "time_zone": "America/Chicago"}
ORDER = {"po_number": "4500012345", "po_payload_id": "po-1@vale.example", "po_date": "2026-09-01T08:00:00-06:00"}
PDF = "a" * 64
SCAN = "b" * 64


def settings(**changes: Any) -> AribaSettings:
    """An account at a test network."""
    given = {
        "url": "https://network.example/service/transaction/cxml.asp",
        "identity": "AN01000000555-T",
        "shared_secret": SESAME,
        "deployment_mode": "test",
        **changes,
    }
    return AribaSettings.model_validate(given)


def line(place: int, quantity: str = "10", price: str = "5.00", **more: Any) -> dict[str, Any]:
    """One line whose net is quantity times price unless said otherwise."""
    return {
        "id": str(place),
        "quantity": quantity,
        "unit": "H87",
        "net": str(Decimal(quantity) * Decimal(price)),
        "price": price,
        "name": f"Bearing {place}",
        "seller_item_id": f"KB-{place}",
        "order_line": str(place * 10),
        **more,
    }


def mapped(
    lines: list[dict[str, Any]] | None = None,
    *,
    fields: dict[str, str] | None = None,
    line_fields: list[dict[str, str]] | None = None,
    related: dict[str, Refs] | None = None,
    totals: dict[str, str] | None = None,
    **more: Any,
) -> MappedInvoice:
    """An invoice of 100.00 USD and 8.25 USD sales tax, changed as asked; `totals` changes single totals."""
    lines = lines or [line(1), line(2, "2", "25.00")]
    net = sum(Decimal(each["net"]) for each in lines)
    tax = Decimal("8.25")
    sums = {"lines": net, "without_tax": net, "tax": tax, "with_tax": net + tax, "payable": net + tax}
    invoice = Invoice.model_validate(
        {
            "number": "KB-26-0101",
            "issue_date": "2026-10-12",
            "type_code": "380",
            "currency": "USD",
            "seller": SELLER,
            "buyer": BUYER,
            "taxes": [
                {
                    "category": "S",
                    "rate": "8.25",
                    "taxable": str(net),
                    "amount": "8.25",
                    "kind": "sales",
                    "location": "OK",
                }
            ],
            "lines": lines,
            "totals": {**sums, **(totals or {})},
            **more,
        }
    )
    extra = tuple(line_fields or [{"unit": "EA"}] * len(lines))
    return MappedInvoice(invoice, {**FIELDS, **(ORDER if fields is None else fields)}, extra, related or {})


def _several_orders() -> MappedInvoice:
    lines = [
        line(1),
        line(2, "1", "50.00", order_number="4500099999", order_line="10"),
        line(3, "4", "2.50"),
    ]
    extra = [{"unit": "EA"}, {"unit": "EA", "po_payload_id": "po-2@vale.example"}, {"unit": "BX"}]
    return mapped(lines, line_fields=extra)


def _line_taxes() -> MappedInvoice:
    def taxed(place: int) -> dict[str, Any]:
        gst = {"category": "S", "rate": "5", "taxable": "50.00", "amount": "2.50", "kind": "GST"}
        pst = {"category": "S", "rate": "7", "taxable": "50.00", "amount": "3.50", "kind": "PST", "location": "BC"}
        return line(place, taxes=[gst, pst])

    return mapped(
        [taxed(1), taxed(2)],
        currency="CAD",
        taxes=[
            {"category": "S", "rate": "5", "taxable": "100.00", "amount": "5.00", "kind": "GST"},
            {"category": "S", "rate": "7", "taxable": "100.00", "amount": "7.00", "kind": "PST", "location": "BC"},
        ],
        totals={"tax": "12.00", "with_tax": "112.00", "payable": "112.00"},
    )


def _allowances_and_charges() -> MappedInvoice:
    packed = {"charge": True, "amount": "1.50", "reason": "Crate", "reason_code": "PC"}
    rebate = {"charge": False, "amount": "2.50", "reason": "Scratched", "reason_code": "95"}
    return mapped(
        [line(1, net="49.00", allowances_charges=[packed, rebate]), line(2, "2", "25.00")],
        allowances_charges=[
            {"charge": False, "amount": "5.00", "reason": "Yearly rebate", "reason_code": "95"},
            {"charge": True, "amount": "3.00", "reason": "Pallets"},
            {"charge": True, "amount": "10.00", "reason": "Freight", "reason_code": "FC"},
            {"charge": True, "amount": "4.00", "reason": "Handling", "reason_code": "HD"},
        ],
        totals={
            "allowances": "5.00",
            "charges": "17.00",
            "without_tax": "111.00",
            "with_tax": "119.25",
            "payable": "119.25",
        },
    )


def _attachments() -> MappedInvoice:
    return mapped(
        notes=[{"text": "Delivered with ticket 77"}],
        attachments=[
            {"name": "KB-26-0101.pdf", "type": "invoice_image", "media_type": "application/pdf", "sha256": PDF},
            {
                "name": "Lieferschein 77 für Tor 2.png",
                "type": "signed_ticket",
                "media_type": "image/png",
                "sha256": SCAN,
            },
        ],
    )


def _withheld_and_prepaid() -> MappedInvoice:
    return mapped(
        taxes=[
            {"category": "S", "rate": "8.25", "taxable": "100.00", "amount": "8.25", "kind": "sales"},
            {"category": "S", "rate": "2", "taxable": "100.00", "amount": "2.00", "kind": "TDS", "withholding": True},
        ],
        totals={"withheld": "2.00", "paid": "20.00", "payable": "86.25"},
    )


def _texts() -> MappedInvoice:
    """Scripts of every kind, markup in text; a reverse charge; two currencies."""
    return mapped(
        [line(1, "100", "1.00", name="Подшипник <шариковый> & «втулка»", description="محمل كروي 🛠", note="Ω ≤ 5")],
        line_fields=[{"unit": "EA", "extrinsic.Lot": "Ł-7"}],
        fields={**ORDER, "extrinsic.invoiceSourceDocument": "PurchaseOrder", "buyer_vat_id": "DE123456789"},
        currency="EUR",
        tax_currency="PLN",
        tax_point_date="2026-10-11",
        seller={**SELLER, "name": "Zażółć Łożyska Sp. z o.o.", "vat_id": "PL5550000077"},
        notes=[{"text": "Подшипник\nЩит"}, {"text": "]]> &amp; <b>"}],
        taxes=[
            {
                "category": "AE",
                "rate": "0",
                "taxable": "100.00",
                "amount": "0.00",
                "exemption_reason": "Reverse charge, Article 196 of Directive 2006/112/EC",
                "exemption_code": "VATEX-EU-AE",
            }
        ],
        totals={"tax": "0.00", "tax_accounting": "0.00", "with_tax": "100.00", "payable": "100.00"},
    )


def _credit(**more: Any) -> MappedInvoice:
    return mapped(
        number="KB-26-0102", type_code="381", preceding=[{"number": "KB-26-0101", "issue_date": "2026-10-01"}], **more
    )


_RELATED = {"KB-26-0101": Refs(payload_id="20261001T090000.11@hub.example", number="KB-26-0101")}
_LOOSE = [line(1, order_line=None), line(2, "2", "25.00", order_line=None)]

SAMPLES: dict[str, MappedInvoice] = {
    "po_goods": mapped(
        fields={
            **ORDER,
            "bill_to_id": "BT-1",
            "ship_to_id": "MILL-2",
            "sold_to_email": "ap@vale.example",
            "payment_days": "30",
            "discount_days": "10",
            "discount_percent": "2",
        },
        line_fields=[
            {"unit": "EA", "classification_domain": "UNSPSC", "classification_code": "31171504"},
            {"unit": "EA", "description": "Bearing, sealed"},
        ],
        parties={"ship_from": SELLER, "remit_to": {**DOCK, "name": "Kestrel Lockbox"}},
        delivery={"name": "Vale Mill 2", "date": "2026-10-09", "address": DOCK["address"]},
    ),
    "several_orders": _several_orders(),
    "order_by_number": mapped(fields={"po_number": "4500012345", "po_date": "01.09.2026"}, due_date="2026-11-11"),
    "no_order": mapped(_LOOSE, fields={}),
    "no_order_contract": mapped(_LOOSE, fields={}, contract_reference="C-900"),
    "no_order_sales_order": mapped(_LOOSE, fields={}, sales_order_reference="SO-31"),
    "line_taxes": _line_taxes(),
    "price_base": mapped(
        [line(1, "2500", "2.00", price_base="100", net="50.00", period={"start": "2026-09-01", "end": "2026-09-30"})],
        period={"start": "2026-09-01", "end": "2026-09-30"},
        line_fields=[{"unit": "EA"}],
    ),
    "allowances_and_charges": _allowances_and_charges(),
    "attachments": _attachments(),
    "withheld_and_prepaid": _withheld_and_prepaid(),
    "texts": _texts(),
    "credit_header": _credit(lines=_LOOSE, related=_RELATED),
    "credit_lines": _credit(related=_RELATED),
    "debit": mapped(number="KB-26-0103", type_code="383"),
}


if __name__ == "__main__":
    EXPECTED.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        (EXPECTED / f"{name}.xml").write_bytes(prepare(sample, STAMP, settings())[0].bytes)
