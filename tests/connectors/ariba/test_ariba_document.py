"""What the connector writes: golden bytes, both grammars, and what it refuses to write."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import hashlib
import locale
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from mapped_samples import BUYER, EXPECTED, ORDER, PDF, SAMPLES, SCAN, SELLER, SESAME, STAMP, line, mapped, settings

from connectors.ariba.document import prepare
from connectors.cxml.schema import _grammar
from hub.contract.connector import MappedInvoice, Refs, Repeat
from hub.contract.errors import Unpreparable

DTD = "data/cxml/dtd"


def document(sample: MappedInvoice, **changes: Any) -> bytes:
    (step,) = prepare(sample, STAMP, settings(**changes))
    return step.bytes


def parsed(sample: MappedInvoice, **changes: Any) -> Any:
    return etree.fromstring(document(sample, **changes), etree.XMLParser(remove_blank_text=True))


def refused(sample: MappedInvoice, **changes: Any) -> str:
    with pytest.raises(Unpreparable) as raised:
        document(sample, **changes)
    return "\n".join(raised.value.problems)


def first(root: Any, path: str) -> Any:
    found = root.find(f".//{path}")
    assert found is not None, path
    return found


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_the_bytes_are_those_of_the_golden_file(name: str) -> None:
    """Every kind of document, byte for byte; `python tests/connectors/ariba/mapped_samples.py` writes them anew."""
    assert (EXPECTED / f"{name}.xml").read_bytes() == document(SAMPLES[name])


def test_every_golden_file_has_its_sample() -> None:
    """No expectation stands about that nothing is compared with."""
    assert sorted(SAMPLES) == sorted(path.stem for path in EXPECTED.glob("*.xml"))


@pytest.mark.parametrize("version", ["1.2.069", "1.2.037"])
@pytest.mark.parametrize("name", SAMPLES)
def test_the_official_dtd_takes_every_document(name: str, version: str, shared: Path) -> None:
    """Of today's version, and of the oldest that may be asked for."""
    path = shared / DTD / version / "InvoiceDetail.dtd"
    root = parsed(SAMPLES[name], cxml_version=version, dtd=path)
    dtd = etree.DTD(str(path))
    assert dtd.validate(root), dtd.error_log
    assert version == root.get("version")


def test_an_old_version_is_named_in_the_doctype() -> None:
    """The DOCTYPE names the version of the settings."""
    assert b'SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.037/InvoiceDetail.dtd"' in document(
        SAMPLES["po_goods"], cxml_version="1.2.037"
    )


def mutations(root: Any) -> Any:
    """The document with one element dropped, and with one element moved behind its sibling; each with its name."""
    for place, element in enumerate(root.iter()):
        if element.getparent() is None:
            continue
        dropped = copy.deepcopy(root)
        victim = list(dropped.iter())[place]
        victim.getparent().remove(victim)
        yield f"without {element.tag} ({place})", dropped
        if element.getnext() is not None and element.getnext().tag != element.tag:
            swapped = copy.deepcopy(root)
            victim = list(swapped.iter())[place]
            victim.getnext().addnext(victim)
            yield f"{element.tag} ({place}) moved back", swapped
        for name in element.keys():  # noqa: SIM118 - an element's names, not a dict's
            stripped = copy.deepcopy(root)
            list(stripped.iter())[place].attrib.pop(name)
            yield f"{element.tag} ({place}) without {name}", stripped


@pytest.mark.parametrize("name", ["po_goods", "allowances_and_charges", "credit_header", "texts", "attachments"])
def test_what_the_official_dtd_refuses_our_grammar_refuses_too(name: str, shared: Path) -> None:
    """Each element dropped or moved, each attribute dropped: our grammar is nowhere wider than the DTD."""
    dtd = etree.DTD(str(shared / DTD / "1.2.069" / "InvoiceDetail.dtd"))
    refused_by_dtd, wider = 0, []
    for what, mutation in mutations(parsed(SAMPLES[name])):
        if not dtd.validate(mutation):
            refused_by_dtd += 1
            if _grammar().validate(mutation):
                wider.append(what)
    assert [] == wider
    assert refused_by_dtd > 100


@pytest.mark.parametrize(
    ("path", "attribute", "value"),
    [
        (".//DueAmount/Money", None, "1,000.00"),
        (".//DueAmount/Money", None, "1e3"),
        (".//DueAmount/Money", None, ""),
        (".//DueAmount/Money", "currency", "usd"),
        (".//DueAmount/Money", "currency", "US Dollar"),
        (".//InvoiceDetailRequestHeader", "invoiceDate", "2026-10-12"),
        (".//InvoiceDetailRequestHeader", "invoiceDate", "2026-10-12T00:00:00"),
        (".//InvoiceDetailRequestHeader", "purpose", "invoice"),
        (".//InvoiceDetailRequestHeader", "invoiceID", " "),
        (".//InvoiceDetailItem", "invoiceLineNumber", "1a"),
        (".//InvoiceDetailItem", "quantity", "ten"),
        (".//Request", "deploymentMode", "prod"),
        (".//Contact", "role", "shipTo"),
        (".//Country", "isoCountryCode", "USA"),
        (".//Street", None, " "),
        (".//TaxDetail", "exemptDetail", "no"),
    ],
)
def test_our_grammar_checks_what_the_dtd_leaves_open(path: str, attribute: str | None, value: str) -> None:
    """Amounts, currencies, times and code words: the DTD takes any text there."""
    root = parsed(SAMPLES["po_goods"])
    assert _grammar().validate(root)
    element = root.find(path)
    if attribute is None:
        element.text = value
    else:
        element.set(attribute, value)
    assert not _grammar().validate(root)


def test_the_step_says_how_to_send_it() -> None:
    """Its key is the payload id; the network refuses a second one, unless the settings doubt that."""
    (step,) = prepare(SAMPLES["po_goods"], STAMP, settings())
    assert (STAMP.payload_id, Repeat.REFUSES, "text/xml; charset=utf-8", ()) == (
        step.key,
        step.repeat,
        step.media_type,
        step.enclosures,
    )
    (doubtful,) = prepare(SAMPLES["po_goods"], STAMP, settings(portal_refuses_repeats=False))
    assert Repeat.UNSAFE is doubtful.repeat


def test_the_marker_stands_exactly_once_and_the_secret_never() -> None:
    """The secret is not even known to what is stored."""
    for sample in SAMPLES.values():
        content = document(sample)
        assert (1, 0) == (content.count(STAMP.marker.encode()), content.count(b"sesame"))


def test_with_a_certificate_alone_there_is_no_shared_secret(tmp_path: Path) -> None:
    """The Sender's Credential is only the identity then."""
    pem = tmp_path / "client.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----")
    content = document(SAMPLES["po_goods"], shared_secret=None, client_cert=pem)
    assert (0, 0) == (content.count(b"SharedSecret"), content.count(STAMP.marker.encode()))


def test_attachments_are_enclosed_in_their_order() -> None:
    """Each under a content id of its own, all in the header's Comments, the image in invoicePDF as well."""
    (step,) = prepare(SAMPLES["attachments"], STAMP, settings())
    assert [("KB-26-0101.pdf", PDF), ("Lieferschein 77 für Tor 2.png", SCAN)] == [
        (each.name, each.sha256) for each in step.enclosures
    ]
    assert STAMP.boundary == step.boundary
    root = etree.fromstring(step.bytes)
    cids = [f"cid:{each.content_id}" for each in step.enclosures]
    assert cids == [url.text for url in root.iterfind(".//Comments/Attachment/URL")]
    assert cids[:1] == [url.text for url in root.iterfind(".//Extrinsic[@name='invoicePDF']/Attachment/URL")]


def test_text_survives_whole() -> None:
    """Cyrillic, Arabic, Polish, an emoji, markup and quotes come out as they went in."""
    root = parsed(SAMPLES["texts"])
    assert "Подшипник <шариковый> & «втулка»: محمل كروي 🛠" == first(root, "InvoiceDetailItem//Description").text
    assert "Подшипник\nЩит\n]]> &amp; <b>" == first(root, "InvoiceDetailRequestHeader/Comments").text
    assert "Zażółć Łożyska Sp. z o.o." == first(root, "InvoicePartner//Name").text


def test_the_date_is_midnight_in_the_accounts_zone() -> None:
    """The day stays the invoice's, whatever the zone."""
    for zone, expected in (
        ("America/Chicago", "2026-10-12T00:00:00-05:00"),
        ("UTC", "2026-10-12T00:00:00+00:00"),
        ("Asia/Kolkata", "2026-10-12T00:00:00+05:30"),
    ):
        root = parsed(mapped(fields={**ORDER, "time_zone": zone}))
        assert expected == first(root, "InvoiceDetailRequestHeader").get("invoiceDate")


def test_the_portals_own_number_and_date_go_out_where_they_are_set() -> None:
    """A resubmission under another number shows that number."""
    header = first(parsed(mapped(portal_number="KB-26-0101A", portal_date="2026-10-11")), "InvoiceDetailRequestHeader")
    assert ("KB-26-0101A", "2026-10-11T00:00:00-05:00") == (header.get("invoiceID"), header.get("invoiceDate"))


def test_line_ids_that_are_no_numbers_are_counted() -> None:
    """InvoiceLineNumber must be a number, each once."""
    for ids, expected in ((("A", "B"), ["1", "2"]), (("0010", "20"), ["10", "20"]), (("1", "01"), ["1", "2"])):
        sample = mapped([line(1) | {"id": ids[0]}, line(2, "2", "25.00") | {"id": ids[1]}])
        items = parsed(sample).iterfind(".//InvoiceDetailItem")
        assert expected == [item.get("invoiceLineNumber") for item in items]


def test_due_days_come_from_the_due_date_where_no_terms_are_mapped() -> None:
    """30 days from the invoice's date."""
    assert "30" == first(parsed(SAMPLES["order_by_number"]), "PaymentTerm").get("payInNumberOfDays")


def test_credits_are_negative_and_prices_stay_positive() -> None:
    """The table of cases: by line, quantity and amounts are negative; as a whole, the amounts; a debit is positive."""
    by_line, whole, debit = (parsed(SAMPLES[name]) for name in ("credit_lines", "credit_header", "debit"))
    item = first(by_line, "InvoiceDetailItem")
    assert ("-10", "5.00", "-50.00") == (
        item.get("quantity"),
        first(item, "UnitPrice/Money").text,
        first(item, "SubtotalAmount/Money").text,
    )
    assert ["-108.25", "-108.25", "108.25"] == [first(each, "DueAmount/Money").text for each in (by_line, whole, debit)]
    assert ["lineLevelCreditMemo", "creditMemo", "debitMemo"] == [
        first(each, "InvoiceDetailRequestHeader").get("purpose") for each in (by_line, whole, debit)
    ]
    assert [None, "yes", "yes"] == [
        first(each, "InvoiceDetailHeaderIndicator").get("isHeaderInvoice") for each in (by_line, whole, debit)
    ]


def test_nothing_is_never_minus_nothing() -> None:
    """A credit of zero tax says 0.00."""
    sample = mapped(
        [line(1, order_line=None), line(2, "2", "25.00", order_line=None)],
        type_code="381",
        taxes=[{"category": "Z", "rate": "0", "taxable": "100.00", "amount": "-0.00"}],
        totals={"tax": "0.00", "with_tax": "100.00", "payable": "100.00"},
    )
    assert "0.00" == first(parsed(sample), "TaxAmount/Money").text


def sums(root: Any) -> dict[str, Decimal]:
    summary = first(root, "InvoiceDetailSummary")
    return {each.tag: Decimal(first(each, "Money").text) for each in summary if each.find("Money") is not None}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sum_closes(name: str) -> None:
    """CXML 1.2.069, InvoiceDetailSummary: gross, net, due and the lines' subtotals, exactly."""
    root = parsed(SAMPLES[name])
    money = sums(root)
    lines = [
        Decimal(each.text)
        for path in (".//InvoiceDetailItem/SubtotalAmount/Money", ".//InvoiceDetailOrderSummary/SubtotalAmount/Money")
        for each in root.iterfind(path)
    ]
    zero = Decimal(0)
    apart = money.get("ShippingAmount", zero) + money.get("SpecialHandlingAmount", zero)
    assert money["SubtotalAmount"] == sum(lines)
    assert money["GrossAmount"] == money["SubtotalAmount"] + money["Tax"] + apart
    charges, allowances = money.get("TotalCharges", zero), money.get("TotalAllowances", zero)
    assert money["NetAmount"] == money["GrossAmount"] + charges - allowances
    assert money["DueAmount"] == money["NetAmount"] - money.get("DepositAmount", zero)
    details = root.iterfind(".//InvoiceDetailSummary/Tax/TaxDetail/TaxAmount/Money")
    assert money["Tax"] == sum(Decimal(each.text) for each in details)


def test_amounts_of_thirty_digits_stay_exact() -> None:
    """No sum is rounded to the 28 digits that Decimal computes with unless told otherwise."""
    big, whole = "123456789012345678901234567.89", "123456789012345678901234568.89"
    tax = {"category": "Z", "rate": "0", "taxable": whole, "amount": "0.00"}
    totals = {"lines": whole, "without_tax": whole, "tax": "0.00", "with_tax": whole, "payable": whole}
    sample = mapped([line(1, "1", big, net=big), line(2, "1", "1.00")], taxes=[tax], totals=totals)
    assert whole == first(parsed(sample), "SubtotalAmount/../DueAmount/Money").text
    assert whole == first(parsed(sample), "InvoiceDetailSummary/SubtotalAmount/Money").text


# --- always the same bytes -------------------------------------------------------------------------------------------


def test_twice_in_one_process_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in another time zone and locale."""
    before = {name: document(sample) for name, sample in SAMPLES.items()}
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    spoken = locale.setlocale(locale.LC_ALL)
    try:
        for wanted in ("de_DE.UTF-8", "C.UTF-8", "C"):
            try:
                locale.setlocale(locale.LC_ALL, wanted)
                break
            except locale.Error:
                continue
        assert before == {name: document(sample) for name, sample in SAMPLES.items()}
    finally:
        locale.setlocale(locale.LC_ALL, spoken)
        monkeypatch.undo()
        time.tzset()


def test_another_process_gives_the_same_bytes() -> None:
    """With another hash seed, zone and language: nothing depends on an order that Python does not promise."""
    script = """
import hashlib, mapped_samples as m
from connectors.ariba.document import prepare
print([hashlib.sha256(prepare(sample, m.STAMP, m.settings())[0].bytes).hexdigest() for sample in m.SAMPLES.values()])
"""
    elsewhere = {"PYTHONPATH": str(Path(__file__).parent), "TZ": "Pacific/Auckland", "LC_ALL": "C"}
    for seed in ("7", "8"):
        env = {**os.environ, **elsewhere, "PYTHONHASHSEED": seed}
        told = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True, text=True)
        here = [hashlib.sha256(document(sample)).hexdigest() for sample in SAMPLES.values()]
        assert f"{here}\n" == told.stdout


# --- what is refused -------------------------------------------------------------------------------------------------

NO_ADDRESS = {"name": "Nowhere Inc", "address": {"lines": ["1 Road"]}}
REFUSALS: dict[str, tuple[MappedInvoice, str]] = {
    "no receiver": (mapped(fields={"to_anid": ""}), "no to_anid"),
    "receiver that is none": (mapped(fields={"to_anid": "ACME"}), "'ACME' is no network id"),
    "production receiver in test": (mapped(fields={"to_anid": "AN01000000777"}), "deployment_mode is test"),
    "no zone": (mapped(fields={"time_zone": ""}), "time_zone None"),
    "zone that is a path": (mapped(fields={"time_zone": "../../etc/passwd"}), "is no time zone"),
    "zone that is a folder": (mapped(fields={"time_zone": "Europe"}), "is no time zone"),
    "slip of the mapping": (mapped(fields={**ORDER, "payement_days": "30"}), "'payement_days'"),
    "slip in a line's mapping": (
        mapped(line_fields=[{"unit": "EA"}, {"unit": "EA", "uom": "EA"}]),
        "line 2: the mapping",
    ),
    "corrected invoice": (mapped(type_code="384"), "type 384 cannot be sent"),
    "self-billed invoice": (mapped(type_code="389"), "type 389 cannot be sent"),
    "proforma": (mapped(type_code="325"), "type 325 cannot be sent"),
    "date to come": (mapped(issue_date="2026-10-13"), "2026-10-13 has not come yet"),
    "date to come over there": (
        mapped(fields={**ORDER, "time_zone": "Pacific/Pago_Pago"}, issue_date="2026-10-13"),
        "has not come yet in Pacific/Pago_Pago",
    ),
    "seller without a street": (mapped(seller={**SELLER, "address": {"city": "Tulsa", "country": "US"}}), "no street"),
    "remit-to without an address": (mapped(parties={"remit_to": NO_ADDRESS}), "Nowhere Inc (remit to): no city"),
    "ship-to without a country": (
        mapped(parties={"ship_from": SELLER, "ship_to": {**NO_ADDRESS, "address": {"lines": ["1"], "city": "X"}}}),
        "(ship to): no country",
    ),
    "buyer without a name": (mapped(buyer={"address": BUYER["address"]}), "(bill to, sold to): no name"),
    "no unit": (mapped(line_fields=[{"unit": "EA"}, {}]), "line 2: no unit of measure"),
    "no price": (mapped([line(1), line(2, "2", "25.00") | {"price": None}]), "line 2: no unit price"),
    "price per nothing": (mapped([line(1, "20", "5.00", price_base="0", net="100.00")]), "must be more than 0"),
    "no order line": (
        mapped([line(1), line(2, "2", "25.00", order_line=None)]),
        "is no line number of order 4500012345",
    ),
    "order line in words": (mapped([line(1, "20", "5.00", order_line="ten")]), "'ten' is no line number"),
    "sub-lines": (mapped([line(1, "20", "5.00", sub_lines=[line(2)])]), "line 1: its sub-lines"),
    "half a classification": (
        mapped(line_fields=[{"unit": "EA", "classification_code": "7"}, {"unit": "EA"}]),
        "go together",
    ),
    "line that does not multiply": (
        mapped([line(1, net="60.00"), line(2, "2", "20.00")]),
        "line 1 is stated as 60.00 USD, but 10 x 5.00",
    ),
    "freight on a line": (
        mapped(
            [
                line(
                    1,
                    "20",
                    "5.00",
                    net="101.00",
                    allowances_charges=[{"charge": True, "amount": "1", "reason_code": "FC"}],
                )
            ]
        ),
        "line 1: freight",
    ),
    "sum without tax": (mapped(totals={"without_tax": "99.99"}), "BT-109"),
    "sum of tax": (mapped(totals={"tax": "8.26"}), "BT-110"),
    "sum with tax": (mapped(totals={"with_tax": "108.26"}), "BT-112"),
    "sum due": (mapped(totals={"payable": "108.26"}), "BT-115"),
    "withheld in the totals only": (mapped(totals={"withheld": "2.00", "payable": "106.25"}), "the withheld tax"),
    "tax without an amount": (mapped(taxes=[{"category": "S", "rate": "8.25"}]), "has no amount (BT-117)"),
    "rounding": (mapped(totals={"rounding": "0.01", "payable": "108.26"}), "a rounding of 0.01 USD"),
    "retention": (mapped(totals={"retained": "8.25", "payable": "100.00"}), "a retention of 8.25 USD"),
    "invoice below nothing": (
        mapped(
            [line(1, "-20", "5.00")],
            taxes=[{"category": "S", "amount": "-8.25"}],
            totals={"tax": "-8.25", "with_tax": "-108.25", "payable": "-108.25"},
        ),
        "no invoice below 0",
    ),
    "credit with nothing due": (mapped(type_code="381", totals={"paid": "108.25", "payable": "0.00"}), "BT-25"),
    "header credit with nothing due": (
        mapped([line(1, "20", "5.00", order_line=None)], type_code="381", totals={"paid": "108.25", "payable": "0.00"}),
        "other than 0",
    ),
    "credit by some lines": (
        mapped([line(1), line(2, "2", "25.00", order_line=None)], type_code="381"),
        "lines 2 have none",
    ),
    "line credit of nothing": (mapped(type_code="381"), "needs the invoice that it credits"),
    "line credit of an unknown invoice": (
        mapped(type_code="381", preceding=[{"number": "OLD-7"}], related={"OLD-7": Refs(number="OLD-7")}),
        "OLD-7 was not sent through this hub",
    ),
    "two earlier invoices": (mapped(preceding=[{"number": "A"}, {"number": "B"}]), "refers to 2 earlier invoices"),
    "terms in words": (mapped(fields={**ORDER, "payment_days": "30 days"}), "payment_days is '30 days'"),
    "half a discount": (mapped(fields={**ORDER, "discount_days": "10"}), "go together"),
    "discount in words": (
        mapped(fields={**ORDER, "discount_days": "10", "discount_percent": "2%"}),
        "discount_percent is '2%'",
    ),
    "linked attachment": (mapped(attachments=[{"name": "a.pdf", "url": "https://x.example/a"}]), "only a link"),
    "executable": (mapped(attachments=[{"name": "Setup.EXE", "sha256": PDF}]), "takes no executables"),
    "media type with a line break": (
        mapped(attachments=[{"name": "a.pdf", "media_type": "a/b\r\nX: y", "sha256": PDF}]),
        "is no media type",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_said_is_held_in_a_clerks_words(name: str) -> None:
    """Nothing is guessed, left out silently or sent to be refused."""
    sample, words = REFUSALS[name]
    assert words in refused(sample)


def test_all_problems_come_at_once() -> None:
    """A clerk corrects an invoice once."""
    told = refused(mapped(fields={"to_anid": "", "time_zone": "Mars"}, line_fields=[{}, {}], totals={"payable": "1"}))
    assert 5 == len(told.splitlines())


@pytest.mark.parametrize(
    ("sample", "place"),
    [
        (mapped(notes=[{"text": "ok"}, {"text": "bell \x07"}]), "invoice.notes[2].text holds the character U+0007"),
        (mapped(fields={**ORDER, "extrinsic.A": "\ufffe"}), "mapping.extrinsic.A holds the character U+FFFE"),
        (mapped(line_fields=[{"unit": "EA"}, {"unit": "E\x00"}]), "mapping.line 2.unit holds the character U+0000"),
    ],
)
def test_a_character_that_xml_cannot_carry_is_told_with_its_place(sample: MappedInvoice, place: str) -> None:
    """It is a problem of the invoice, not a crash."""
    assert place in refused(sample)


def test_a_document_that_the_grammar_refuses_is_held_with_its_line() -> None:
    """The last check before the store: what nothing else noticed is told with its line and what was expected."""
    told = refused(mapped(fields={**ORDER, "extrinsic.": "nameless"}))
    assert "our grammar of cXML" in told
    assert "Extrinsic" in told
    number = int(told.partition("line ")[2].partition(":")[0])
    assert b'<Extrinsic name="A">' in document(mapped(fields={**ORDER, "extrinsic.A": "x"})).splitlines()[number - 1]


def test_the_official_dtd_is_checked_where_it_is_given(tmp_path: Path) -> None:
    """A document that the given DTD refuses is held, naming the file."""
    dtd = tmp_path / "Narrow.dtd"
    dtd.write_text("<!ELEMENT cXML EMPTY>")
    assert "(Narrow.dtd)" in refused(SAMPLES["po_goods"], dtd=dtd)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"identity": "AN01000000555"}, "AN01000000555 is a production account, but deployment_mode is test"),
        ({"deployment_mode": "production"}, "AN01000000555-T is a test account, but deployment_mode is production"),
        ({"deployment_mode": None}, "deployment_mode"),
        ({"shared_secret": None}, "give shared_secret, or client_cert"),
        ({"cxml_version": "1.2.020"}, "older than 1.2.037"),
        ({"dtd": Path(__file__)}, "is no DTD"),
        ({"url": "https://user:pw@network.example/"}, "without a login in it"),
        ({"url": "ftp://network.example/"}, "https://host/path"),
        ({"url": "http://network.example/"}, "write https"),
        ({"sharedsecret": "x"}, "sharedsecret"),
        ({"rest": {"url": "https://x.example"}}, "rest.token_url"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], words: str) -> None:
    """Before anything is sent, and without telling a secret."""
    with pytest.raises(ValueError, match="validation error") as raised:
        settings(**changes)
    assert words in str(raised.value)
    assert SESAME not in str(raised.value)


def test_preparing_changes_nothing_it_was_given() -> None:
    """Pure: the sample is the same afterwards, and an hour later another stamp changes only what it says."""
    sample = SAMPLES["po_goods"]
    before = copy.deepcopy(sample)
    later = dataclasses.replace(STAMP, at=STAMP.at + dt.timedelta(hours=1))
    (step,) = prepare(sample, later, settings())
    assert before == sample
    assert step.bytes.replace(b"15:30:00+00:00", b"14:30:00+00:00") == document(sample)
