"""Where the rarer terms of UBL and CII end up, and that nothing is dropped in silence."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from hub.contract.invoice import Invoice, Note
from hub.sources.read import Read, Refused, read_bytes

INVOICES = Path(__file__).resolve().parents[2] / "fixtures" / "invoices"
UBL = (INVOICES / "RV-26-1001.xml").read_text()
CII = (INVOICES / "RA-26-2002.xml").read_text()


def ubl(*changes: tuple[str, str]) -> Read:
    """Our UBL invoice with some text replaced, once each."""
    return changed(UBL, changes)


def cii(*changes: tuple[str, str]) -> Read:
    """Our CII invoice with some text replaced, once each."""
    return changed(CII, changes)


def changed(text: str, changes: tuple[tuple[str, str], ...]) -> Read:
    """A document with its changes; each must find its place."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return read_bytes(text.encode(), "x.xml")


def before(place: str, added: str) -> tuple[str, str]:
    """A change that puts something in front of a place."""
    return place, added + place


def test_what_no_field_holds_is_told_with_its_line() -> None:
    """Unknown elements with content, and a second value of what an invoice has once; empty ones are nothing."""
    found = ubl(
        before("<cac:AccountingSupplierParty>", "<cac:Signature><cbc:ID>S-1</cbc:ID></cac:Signature><cac:Empty/>"),
        before(
            "<cac:PaymentMeans>",
            "<cac:Delivery><cbc:ActualDeliveryDate>2026-10-02</cbc:ActualDeliveryDate></cac:Delivery>",
        ),
        before(
            "<cac:PaymentTerms>", "<cac:PaymentMeans><cbc:PaymentMeansCode>58</cbc:PaymentMeansCode></cac:PaymentMeans>"
        ),
    )
    assert [one.partition(": ")[2] for one in found.left_out] == [
        "Signature",
        "Delivery/ActualDeliveryDate",
        "PaymentMeans",
    ]
    assert all(one.startswith("line ") for one in found.left_out)


def test_remarks_bear_their_subject() -> None:
    """UBL writes it into the text, CII beside it (BT-21)."""
    expected = (Note(subject="AAI", text="Ring twice"), Note(text="#No subject"))
    note = "<cbc:Note>#AAI#Ring twice</cbc:Note><cbc:Note>#No subject</cbc:Note>"
    assert expected == ubl(before("<cbc:DocumentCurrencyCode>", note)).invoice.notes
    note = (
        "<ram:IncludedNote><ram:Content>Ring twice</ram:Content><ram:SubjectCode>AAI</ram:SubjectCode>"
        "</ram:IncludedNote>"
        "<ram:IncludedNote><ram:Content>#No subject</ram:Content></ram:IncludedNote>"
    )
    assert expected == cii(before("</rsm:ExchangedDocument>", note)).invoice.notes


def test_a_sepa_creditor_is_how_to_pay_and_not_who_sells() -> None:
    """UBL keeps BT-90 among the seller's identifiers, CII in the settlement."""
    party = '<cac:PartyIdentification><cbc:ID schemeID="SEPA">DE98ZZZ1</cbc:ID></cac:PartyIdentification>'
    from_ubl = ubl(before("<cac:PostalAddress>", party)).invoice
    reference = "<ram:CreditorReferenceID>DE98ZZZ1</ram:CreditorReferenceID>"
    from_cii = cii(before("<ram:PaymentReference>", reference)).invoice
    for invoice in (from_ubl, from_cii):
        assert invoice.payment is not None
        assert invoice.payment.creditor_id == "DE98ZZZ1"
        assert invoice.seller.identifiers == ()


def test_several_bank_accounts_are_all_kept() -> None:
    """Each payment means adds its account; bank and name stay with their account."""
    means = (
        "<cac:PaymentMeans><cbc:PaymentMeansCode>30</cbc:PaymentMeansCode><cac:PayeeFinancialAccount>"
        "<cbc:ID>12345</cbc:ID></cac:PayeeFinancialAccount></cac:PaymentMeans>"
    )
    payment = ubl(before("<cac:PaymentTerms>", means)).invoice.payment
    assert payment is not None
    assert [(one.account, one.bank) for one in payment.accounts] == [("005550101884", "107055501"), ("12345", None)]


def test_a_line_may_name_its_own_order() -> None:
    """One invoice can cover several orders."""
    reference = "<cac:OrderReference><cbc:ID>4500017009</cbc:ID></cac:OrderReference></cac:OrderLineReference>"
    found = ubl(("</cac:OrderLineReference>", reference)).invoice
    assert (found.lines[0].order_number, found.order_numbers) == ("4500017009", ("4500017001", "4500017009"))
    order = "<ram:BuyerOrderReferencedDocument><ram:IssuerAssignedID>47</ram:IssuerAssignedID><ram:LineID>"
    found = cii(("<ram:BuyerOrderReferencedDocument>\n          <ram:LineID>", order)).invoice
    assert (found.lines[0].order_number, found.lines[0].order_line) == ("47", "10")


def test_further_parties_keep_their_role() -> None:
    """Who ordered, who ships, whom to bill."""
    sold_to = (
        "<cac:BuyerCustomerParty><cac:Party><cac:PartyName><cbc:Name>Mill</cbc:Name></cac:PartyName></cac:Party>"
        "</cac:BuyerCustomerParty>"
    )
    parties = ubl(before("<cac:Delivery>", sold_to)).invoice.parties
    assert {role: party.name for role, party in parties.items()} == {"sold_to": "Mill"}
    bill_to = "<ram:InvoiceeTradeParty><ram:Name>Accounts</ram:Name></ram:InvoiceeTradeParty>"
    ship_from = "<ram:ShipFromTradeParty><ram:Name>Depot</ram:Name></ram:ShipFromTradeParty>"
    found = cii(
        before("<ram:SpecifiedTradeSettlementPaymentMeans>", bill_to),
        before("<ram:ActualDeliverySupplyChainEvent>", ship_from),
    )
    assert {role: party.name for role, party in found.invoice.parties.items()} == {
        "bill_to": "Accounts",
        "ship_from": "Depot",
    }


def test_sub_lines_stand_below_their_line() -> None:
    """UBL nests them, CII names the parent; their amounts are within the line's."""
    sub = (
        '<cac:SubInvoiceLine><cbc:ID>1.1</cbc:ID><cbc:InvoicedQuantity unitCode="EA">200</cbc:InvoicedQuantity>'
        '<cbc:LineExtensionAmount currencyID="USD">2500.00</cbc:LineExtensionAmount></cac:SubInvoiceLine>'
    )
    found = ubl(before("</cac:InvoiceLine>", sub))
    assert [one.id for one in found.invoice.lines[0].sub_lines] == ["1.1"]
    assert (found.doubts, len(found.invoice.lines)) == ((), 2)
    line = CII[
        CII.index("    <ram:IncludedSupplyChain") : CII.index(
            "    <ram:IncludedSupplyChain", CII.index("LineItem>") + 40
        )
    ]
    sub = line.replace(
        "<ram:LineID>1</ram:LineID>", "<ram:LineID>1.1</ram:LineID><ram:ParentLineID>1</ram:ParentLineID>"
    )
    found = cii(before("    <ram:ApplicableHeaderTradeAgreement>", sub))
    assert [[one.id for one in line.sub_lines] for line in found.invoice.lines] == [["1.1"], []]
    with pytest.raises(Refused, match="parent 9, which is none"):
        cii(before("    <ram:ApplicableHeaderTradeAgreement>", sub.replace("ParentLineID>1<", "ParentLineID>9<")))


def test_a_freight_charge_of_the_extended_profile_is_a_charge() -> None:
    """It counts in the totals like any other charge."""
    freight = (
        "<ram:SpecifiedLogisticsServiceCharge><ram:Description>Fracht</ram:Description>"
        "<ram:AppliedAmount>0.00</ram:AppliedAmount></ram:SpecifiedLogisticsServiceCharge>"
    )
    found = cii(before("<ram:SpecifiedTradePaymentTerms>", freight)).invoice
    assert [(one.charge, one.reason) for one in found.allowances_charges] == [
        (False, "Mengenrabatt 5 % auf Kugelhähne"),
        (True, "Fracht"),
    ]


def test_the_tax_point_is_one_fact_in_one_spelling() -> None:
    """CII's code list (UNTDID 2475) becomes the standard's (UNTDID 2005)."""
    point = "<ram:DueDateTypeCode>72</ram:DueDateTypeCode>"
    head = CII.index("<ram:ApplicableHeaderTradeSettlement>")
    text = CII[:head] + CII[head:].replace("<ram:RateApplicablePercent>", point + "<ram:RateApplicablePercent>", 1)
    assert read_bytes(text.encode(), "x").invoice.tax_point_code == "432"


def test_the_tax_in_the_accounting_currency_is_no_second_tax() -> None:
    """BT-111 stands beside BT-110 and counts nowhere."""
    second = '<cac:TaxTotal><cbc:TaxAmount currencyID="EUR">160.00</cbc:TaxAmount></cac:TaxTotal>'
    place = before("<cac:OrderReference>", "<cbc:TaxCurrencyCode>EUR</cbc:TaxCurrencyCode>")
    found = ubl(place, before("<cac:LegalMonetaryTotal>", second)).invoice
    assert (found.totals.tax, found.totals.tax_accounting) == (Decimal("174.58"), Decimal("160.00"))
    with pytest.raises(Refused, match="accounting currency"):
        ubl(before("<cac:LegalMonetaryTotal>", second))


def test_an_invoiced_object_and_a_project_are_no_attachments() -> None:
    """UBL keeps BT-18 and a credit note's BT-11 among the documents, told by their type code."""
    document = (
        '<cac:AdditionalDocumentReference><cbc:ID schemeID="ABT">M-17</cbc:ID>'
        "<cbc:DocumentTypeCode>130</cbc:DocumentTypeCode>"
        "</cac:AdditionalDocumentReference>"
    )
    found = ubl(before("<cac:AccountingSupplierParty>", document)).invoice
    assert found.object_id is not None
    assert (found.object_id.value, found.object_id.scheme, found.attachments) == ("M-17", "ABT", ())
    project = document.replace(">130<", ">50<")
    assert ubl(before("<cac:AccountingSupplierParty>", project)).invoice.project_reference == "M-17"


def test_a_withholding_that_is_already_counted_takes_nothing_off() -> None:
    """Where the amount due adds up without it, the withholding tax is only mentioned."""
    tax = (
        '<cac:WithholdingTaxTotal><cbc:TaxAmount currencyID="USD">60.20</cbc:TaxAmount><cac:TaxSubtotal>'
        '<cbc:TaxableAmount currencyID="USD">6020.00</cbc:TaxableAmount>'
        '<cbc:TaxAmount currencyID="USD">60.20</cbc:TaxAmount>'
        "<cac:TaxCategory><cbc:ID>W</cbc:ID><cbc:Percent>1</cbc:Percent></cac:TaxCategory></cac:TaxSubtotal>"
        "</cac:WithholdingTaxTotal>"
    )
    found = ubl(before("<cac:LegalMonetaryTotal>", tax)).invoice
    assert (found.totals.withheld, found.totals.payable) == (Decimal(0), Decimal("6194.58"))
    less = ('<cbc:PayableAmount currencyID="USD">6194.58<', '<cbc:PayableAmount currencyID="USD">6134.38<')
    assert ubl(before("<cac:LegalMonetaryTotal>", tax), less).invoice.totals.withheld == Decimal("60.20")
    wrong = (less[0], less[1].replace("6134.38", "6134.39"))
    with pytest.raises(Refused, match="BR-CO-16"):
        ubl(before("<cac:LegalMonetaryTotal>", tax), wrong)


def test_a_party_without_a_legal_name_is_called_by_its_trading_name() -> None:
    """Many UBL invoices name a party only so."""
    name = "<cac:PartyName><cbc:Name>Ridgeline</cbc:Name></cac:PartyName>"
    legal = "<cbc:RegistrationName>Ridgeline Valve &amp; Fitting, Inc.</cbc:RegistrationName>"
    both = ubl(before("<cac:PostalAddress>", name)).invoice.seller
    assert (both.name, both.trading_name) == ("Ridgeline Valve & Fitting, Inc.", "Ridgeline")
    alone = ubl(before("<cac:PostalAddress>", name), (legal, "")).invoice.seller
    assert (alone.name, alone.trading_name) == ("Ridgeline", None)


def test_dates_with_a_zone_are_days() -> None:
    """xs:date allows a zone; an invoice date is the day it says."""
    found: Invoice = ubl((">2026-10-05<", ">2026-10-05+02:00<")).invoice
    assert found.issue_date == dt.date(2026, 10, 5)
