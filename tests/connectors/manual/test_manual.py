"""The task sheet, and a connector that leaves everything to a person."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from sheet_samples import EXPECTED, INVOICES, SETTINGS, STAMP, golden, mapped, sheet_of

from connectors.manual.connector import ManualConnector, ManualSettings
from hub.contract.connector import Context, InvoiceKey, Lookup, MappedInvoice, Repeat
from hub.contract.errors import NeedsHuman, Scope, Undeclared
from hub.contract.invoice import Kind, Money
from hub.contract.status import Delivered
from hub.delivery import registry
from hub.requirements.paths import Facts


@pytest.fixture
def portal(context: Context) -> ManualConnector:
    return ManualConnector(SETTINGS, context)


def changed(name: str, **changes: Any) -> MappedInvoice:
    one = mapped(name)
    return dataclasses.replace(one, **changes)


def lines_of(one: MappedInvoice) -> list[str]:
    return sheet_of(one).decode().splitlines()


# --- the sheet -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", INVOICES)
def test_the_sheet_is_the_golden_file(name: str) -> None:
    """Byte for byte; `python tests/connectors/manual/sheet_samples.py` writes them anew."""
    assert golden(name).read_bytes() == sheet_of(mapped(name))


def test_every_golden_file_has_its_invoice() -> None:
    """No file is left over from an invoice that is gone."""
    assert {golden(name) for name in INVOICES} == set(EXPECTED.iterdir())


@pytest.mark.parametrize("name", INVOICES)
def test_the_sheet_says_each_thing_once(name: str) -> None:
    """No label of a field stands twice, and each line of the invoice has one line of the sheet."""
    one = mapped(name)
    text = lines_of(one)
    for label in ("Portal", "Sign in at", *one.fields):
        assert [label] == [line.partition(":")[0] for line in text if line.startswith(f"{label}: ")]
    assert len(one.lines) == sum(line.startswith("  - Line: ") for line in text)


def test_an_account_says_where_to_go_before_the_connection_does() -> None:
    """`portal_name` and `portal_url` of the account replace the settings', in the same place."""
    facts = Facts(account={"portal_name": "Oakhurst Annex", "portal_url": "https://annex.oakhurst.example"})
    text = lines_of(mapped("RV-26-3003.pdf", facts))
    assert ["Portal: Oakhurst Annex", "Sign in at: https://annex.oakhurst.example", ""] == text[:3]
    assert SETTINGS.portal not in "\n".join(text)


def test_the_fields_stand_in_the_mappings_order() -> None:
    """Whoever writes the mapping decides in which order the form is keyed."""
    text = lines_of(changed("RV-26-3003.pdf", fields={"Zeta": "1", "Alpha": "2"}, lines=({"B": "x", "A": "y"},)))
    assert text.index("Zeta: 1") + 1 == text.index("Alpha: 2")
    assert "  - B: x | A: y" in text


def test_a_tax_that_the_mapping_shows_by_rate_and_amount_is_not_repeated() -> None:
    """A mapping for a portal that wants rate and amount in fields of their own leaves nothing to add."""
    whole = mapped("RA-26-2003.xml")
    assert any("VAT 19 % on 108.75: 20.66 EUR" in line for line in lines_of(whole))
    detailed = dataclasses.replace(whole, fields={**whole.fields, "Tax rate": "19"})
    assert "Taxes:" not in lines_of(detailed)


def test_an_invoice_without_line_fields_has_no_empty_list() -> None:
    """Where the mapping gives nothing for the lines, nothing is said of them."""
    assert "Lines:" not in lines_of(changed("RV-26-3003.pdf", lines=({},)))


@pytest.mark.parametrize(
    "hostile",
    [
        "x\nTo be paid: 1.00",
        "x\r\nTo be paid: 1.00",
        "x\x1b]0;owned\x07\x1b[2J",
        "x\u202egpj.exe",
        "x\u2028y",
        "x\x00\x9b",
    ],
)
def test_no_value_can_break_out_of_its_line(hostile: str) -> None:
    """Line breaks, terminal controls and turned reading directions in a value, a label or a name are blanks."""
    clean = mapped("RV-26-3001.xml")
    attachment = clean.invoice.attachments[0].model_copy(update={"name": hostile})
    fields = {**clean.fields, "Payment terms": hostile, hostile: "label"}
    dirty = MappedInvoice(
        clean.invoice.model_copy(update={"attachments": (attachment,)}), fields, ({"Description": hostile},)
    )
    text = sheet_of(dirty).decode()
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert len(lines_of(dirty)) == len(lines_of(clean)) + 1  # the label that was added
    assert [line for line in text.splitlines() if line.startswith("To be paid")] == ["To be paid: 555.00"]


# --- the connector ---------------------------------------------------------------------------------------------------


def test_the_one_step_is_the_sheet_with_its_attachments(portal: ManualConnector) -> None:
    """What a person keys in twice is there twice, so the step must never be repeated by itself."""
    one = mapped("RV-26-3001.xml")
    (step,) = portal.prepare(one, STAMP, None)
    assert (sheet_of(one), STAMP.payload_id, Repeat.UNSAFE) == (step.bytes, step.key, step.repeat)
    assert [(each.name, each.sha256) for each in one.invoice.attachments] == [
        (each.name, each.sha256) for each in step.enclosures
    ]
    assert (step,) == portal.prepare(one, STAMP, None)


def test_submitting_asks_a_person_and_sends_nothing(portal: ManualConnector, lent: Any) -> None:
    """The error's action is the sheet; nothing was delivered, and the right to send was asked for."""
    (step,) = portal.prepare(mapped("RV-26-3001.xml"), STAMP, None)
    with pytest.raises(NeedsHuman, match="Oakhurst supplier site") as raised:
        portal.submit(step, {})
    error = raised.value
    assert (step.bytes.decode(), SETTINGS.url, Delivered.NO, Scope.INVOICE) == (
        error.action,
        error.url,
        error.delivered,
        error.scope,
    )
    assert ["point of no return"] == lent.asked


def test_nothing_can_be_asked(portal: ManualConnector) -> None:
    """What is not declared raises, and the check proves nothing."""
    capabilities = portal.capabilities
    assert (Lookup.NONE, False, True) == (capabilities.lookup, capabilities.statuses, capabilities.people)
    day = mapped("RV-26-3001.xml").invoice.issue_date
    key = InvoiceKey("us", "oakhurst", Kind.INVOICE, "RV-1", "RV-1", day, Money(Decimal(1), "USD"))
    with pytest.raises(Undeclared, match="RV-1; a person must look"):
        portal.find(key)
    with pytest.raises(Undeclared, match="hub record"):
        portal.statuses(None, ())
    assert () == portal.check().proved


def test_settings_need_nothing_and_know_no_other_key() -> None:
    """One manual connection can serve every account that names its own portal; a slip in a key is an error."""
    assert "the customer's portal" == ManualSettings().portal
    with pytest.raises(ValueError, match="adress"):
        ManualSettings.model_validate({"adress": "https://x.example"})


def test_the_registry_knows_it() -> None:
    """The folder's name is the connector's."""
    assert ManualConnector is registry.connector_class("manual")
    assert ManualSettings is registry.settings_model("manual")
