from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.contract.invoice import Invoice
from hub.requirements.cases import run_cases
from hub.requirements.extensions import Level, load_extensions
from hub.requirements.mapping import load_mapping, mapping_schema
from hub.requirements.paths import Facts
from hub.requirements.rules import rules_schema
from hub.yamlsource import load

ROOT = Path(__file__).resolve().parents[2]
RULES, MAPPINGS = ROOT / "rules", ROOT / "mappings"
VOCABULARY = load_extensions([MAPPINGS])
FACTS = Facts(portal_customer="AN01000000101-T", time_zone="America/Los_Angeles")
TODAY = dt.date(2026, 9, 10)
PACKS = sorted((*RULES.glob("*/*.yaml"), *MAPPINGS.glob("*/*.yaml")))
EXAMPLE = load(RULES / "ariba" / "default.yaml").data["example"]["base"]


def example(**fields: Any) -> Invoice:
    return Invoice.model_validate(EXAMPLE | fields)


def test_every_case_of_every_pack_comes_out_as_it_says() -> None:
    """Every shipped rule has a case that it catches, and every case holds."""
    results = run_cases([RULES], VOCABULARY)
    assert [result for result in results if not result.ok] == []
    assert {"ariba/cascadia.yaml", "ariba/default.yaml", "ariba/meridian.yaml", "manual/default.yaml"} == {
        result.place.rpartition(":")[0].removeprefix(f"{RULES}/") for result in results
    }


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: str(pack.relative_to(ROOT)))
def test_a_pack_tells_editors_its_schema_first(pack: Path) -> None:
    """An editor that knows the language server helps from the first key on."""
    schema = pack.read_text(encoding="utf-8").splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (pack.parent / schema).resolve() == pack.parents[1] / "schema.json"


@pytest.mark.parametrize(("folder", "schema"), [(RULES, rules_schema), (MAPPINGS, mapping_schema)])
def test_the_schemas_beside_the_packs_are_those_of_the_code(folder: Path, schema: Callable[[], dict[str, Any]]) -> None:
    """An editor complains of what the hub would complain of."""
    written = json.dumps(schema(), indent=2) + "\n"
    assert (folder / "schema.json").read_text(encoding="utf-8") == written, f"write {schema.__name__}() there anew"


def block(readme: Path) -> str:
    """The example in a README."""
    found = re.search(r"```yaml\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_the_example_in_the_readme_of_rules_works(tmp_path: Path) -> None:
    """What an analyst copies from the README loads, and its cases come out."""
    (tmp_path / "ariba").mkdir()
    shutil.copy(RULES / "ariba" / "default.yaml", tmp_path / "ariba" / "default.yaml")
    (tmp_path / "ariba" / "cascadia.yaml").write_text(block(RULES / "README.md"), encoding="utf-8")
    results = run_cases([tmp_path], VOCABULARY)
    assert [result for result in results if not result.ok] == []
    assert sum(result.place.startswith(str(tmp_path / "ariba" / "cascadia.yaml")) for result in results) == 2


def test_the_example_in_the_readme_of_mappings_works(tmp_path: Path) -> None:
    """What an analyst copies from the README gives the fields that it speaks of."""
    (tmp_path / "ariba").mkdir()
    (tmp_path / "ariba" / "cascadia.yaml").write_text(block(MAPPINGS / "README.md"), encoding="utf-8")
    mapping = load_mapping([MAPPINGS, tmp_path], "ariba", "cascadia", None)
    fields, findings = mapping.apply(example(), FACTS)
    assert (fields.fields["extrinsic.CompanyCode"], fields.fields["extrinsic.CostCenter"]) == ("0100", "NONE")
    assert [f.message for f in findings] == [
        "Cascadia's bill-to id is missing: account.identifiers.bill_to_id is empty"
    ]


FULL = {
    "order_date": "2026-09-01",
    "seller": EXAMPLE["seller"] | {"vat_id": "DE123456789"},
    "buyer": EXAMPLE["buyer"] | {"vat_id": "DE987654321"},
    "delivery": {"location": {"value": "SITE-4"}},
    "extensions": {
        "po_payload_id": "po-9@cascadia.example",
        "po_date": "2026-09-01T08:00:00-07:00",
        "payment_days": "30",
        "discount_days": "10",
        "discount_percent": "2.5",
    },
    "lines": [
        {
            "id": "1",
            "quantity": "10",
            "unit": "EA",
            "price": "25",
            "net": "250",
            "name": "Saw blade",
            "order_number": "4500017002",
            "order_line": "10",
            "seller_item_id": "SB-10",
            "classifications": [{"value": "27112800", "scheme": "TST"}],
        },
        {"id": "2", "quantity": "1", "unit": "XBX", "price": "0", "net": "0", "description": "Box"},
    ],
}


def test_the_ariba_mapping_gives_all_that_the_connector_reads() -> None:
    """Each field from its place; a unit that the table lacks stays; UNSPSC is named as cXML names it."""
    facts = Facts("AN01000000101-T", "America/Los_Angeles", account={"bill_to_id": "B-1", "ship_to_id": "unused"})
    result, findings = load_mapping([MAPPINGS], "ariba", "cascadia", "us").apply(example(**FULL), facts)
    assert findings == ()
    assert result.fields == {
        "to_anid": "AN01000000101-T",
        "time_zone": "America/Los_Angeles",
        "po_number": "4500017001",
        "po_payload_id": "po-9@cascadia.example",
        "po_date": "2026-09-01T08:00:00-07:00",
        "supplier_tax_id": "00-1234567",
        "supplier_vat_id": "DE123456789",
        "buyer_vat_id": "DE987654321",
        "bill_to_id": "B-1",
        "ship_to_id": "SITE-4",
        "sold_to_email": "ap@cascadia.example",
        "payment_days": "30",
        "discount_days": "10",
        "discount_percent": "2.5",
    }
    assert result.lines == (
        {
            "po_number": "4500017002",
            "unit": "EA",
            "order_line": "10",
            "supplier_part_id": "SB-10",
            "classification_domain": "UNSPSC",
            "classification_code": "27112800",
            "description": "Saw blade",
        },
        {"unit": "XBX", "description": "Box"},
    )


def test_a_workspaces_table_of_orders_gives_payload_ids_and_dates(tmp_path: Path) -> None:
    """Orders as the network has them, by number, for the invoice and for each line; without them the order's day."""
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "orders.csv").write_text(
        "# source: orders of the network; date: 2026-11-23\norder,payload_id,order_date\n"
        "4500017001,po-4500017001@cascadia.example,2026-09-01T08:00:00-07:00\n"
        "4500017002,po-4500017002@cascadia.example,2026-09-15T08:00:00-07:00\n",
        encoding="utf-8",
    )
    invoice = example(order_date="2026-09-01", lines=FULL["lines"])
    bare, _ = load_mapping([MAPPINGS], "ariba", None, None).apply(invoice, FACTS)
    assert (bare.fields.get("po_payload_id"), bare.fields["po_date"]) == (None, "2026-09-01")
    result, _ = load_mapping([MAPPINGS, tmp_path], "ariba", None, None).apply(invoice, FACTS)
    names = ("po_payload_id", "po_date")
    assert [result.fields[name] for name in names] == ["po-4500017001@cascadia.example", "2026-09-01T08:00:00-07:00"]
    line = result.lines[0]
    assert [line[name] for name in names] == ["po-4500017002@cascadia.example", "2026-09-15T08:00:00-07:00"]


def test_an_account_that_knows_nothing_holds_the_invoice() -> None:
    """The customer's network id and the time zone are asked for together, in words."""
    _, findings = load_mapping([MAPPINGS], "ariba", None, None).apply(example(), Facts())
    assert [finding.message.partition(" is missing")[0] for finding in findings] == [
        "The customer's Ariba Network id",
        "The account's time zone",
    ]


def test_the_task_sheet_says_everything_in_plain_words() -> None:
    """Labels in the order in which a person keys them in; nothing is required, nothing empty is shown."""
    mapping = load_mapping([MAPPINGS], "manual", None, None)
    facts = Facts(account={"portal_url": "https://portal.example/login", "portal_name": "Oakhurst supplier page"})
    result, findings = mapping.apply(example(due_date="2026-10-08"), facts)
    assert findings == ()
    assert list(result.fields.items()) == [
        ("Portal", "Oakhurst supplier page"),
        ("Sign in at", "https://portal.example/login"),
        ("Customer", "Cascadia Timber Co."),
        ("Document", "invoice"),
        ("Invoice number", "INV-1001"),
        ("Invoice date", "2026-09-08"),
        ("Due date", "2026-10-08"),
        ("Purchase order", "4500017001"),
        ("Currency", "USD"),
        ("Total without tax", "250.00"),
        ("Tax", "0"),
        ("Total with tax", "250.00"),
        ("To be paid", "250.00"),
        ("Our tax id", "00-1234567"),
        ("Remit to", "Northfield Tooling Inc."),
    ]
    assert list(result.lines[0].items()) == [
        ("Line", "1"),
        ("Order line", "10"),
        ("Description", "Saw blade"),
        ("Quantity", "10"),
        ("Unit", "EA"),
        ("Unit price", "25.00"),
        ("Net amount", "250.00"),
    ]


def test_every_extension_that_the_mappings_read_is_declared_with_a_label() -> None:
    """The vocabulary is what people see; each name says what it is."""
    assert {
        "po_payload_id",
        "po_date",
        "payment_days",
        "discount_days",
        "discount_percent",
        "cost_center",
    } == VOCABULARY.at(Level.HEADER).keys()
