from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hub.contract.invoice import Invoice
from hub.requirements.extensions import Level, load_extensions
from hub.requirements.finding import Finding, Severity
from hub.requirements.mapping import MappedFields, Mapping, load_mapping, mapping_schema
from hub.requirements.paths import Facts
from hub.yamlsource import SourceError

HEAD = "mapping_for: {portal: p}\n"
SAID = "# source: the buyer's list; date: 2026-11-01\n"
FACTS = Facts(
    portal_customer="AN1", time_zone="Europe/Berlin", account={"bill_to": "77"}, entity={"duns": "9"}, customer={}
)
BASE: dict[str, Any] = {
    "number": " INV-7 ",
    "issue_date": "2026-09-08",
    "type_code": "380",
    "currency": "USD",
    "buyer_reference": "ab-01.2",
    "seller": {"name": "Northfield"},
    "buyer": {"name": "Cascadia"},
    "totals": {"lines": "1E+2", "without_tax": "100", "with_tax": "100.10", "payable": "100.10"},
    "lines": [
        {"id": "1", "quantity": "2", "net": "60", "unit": "EA", "name": "Blade"},
        {"id": "2", "quantity": "1", "net": "40", "unit": "BX", "description": "Box of bits"},
    ],
    "extensions": {"cost_center": "0815"},
}
EXTENSIONS = "extensions:\n  - {name: cost_center, type: text, level: both, label: Cost centre}\n"


def invoice(**fields: Any) -> Invoice:
    return Invoice.model_validate(BASE | fields)


def written(folder: Path, tables: dict[str, str] | None = None, **files: str) -> Path:
    """A folder of mappings for the portal `p`; double underscores stand for dots in names."""
    (folder / "p").mkdir(parents=True, exist_ok=True)
    (folder / "codes").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "p" / f"{name.replace('__', '.')}.yaml").write_text(text, encoding="utf-8")
    for name, text in (tables or {}).items():
        (folder / "codes" / f"{name}.csv").write_text(text, encoding="utf-8")
    if not (folder / "extensions.yaml").exists():
        (folder / "extensions.yaml").write_text(EXTENSIONS, encoding="utf-8")
    return folder


def load(*folders: Path, customer: str | None = None, entity: str | None = None) -> Mapping:
    return load_mapping(folders, "p", customer, entity)


def mapped(folder: Path, text: str, tables: dict[str, str] | None = None, **fields: Any) -> MappedFields:
    """What a mapping gives when nothing is missing."""
    result, findings = load(written(folder, tables, default=HEAD + text)).apply(invoice(**fields), FACTS)
    assert findings == ()
    return result


def problems(folder: Path, *more: Path) -> list[str]:
    """What loading says, without the folder."""
    with pytest.raises(SourceError) as refused:
        load(folder, *more, customer="c", entity="e")
    return [str(problem).replace(f"{folder}/", "") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{from: number}", "INV-7"),
        ("{from: issue_date}", "2026-09-08"),
        ("{from: totals.lines}", "100"),
        ("{from: totals.with_tax}", "100.10"),
        ("{from: kind}", "invoice"),
        ("{from: 'lines[0].unit'}", "EA"),
        ("{from: account.portal_customer}", "AN1"),
        ("{from: account.time_zone}", "Europe/Berlin"),
        ("{from: account.identifiers.bill_to}", "77"),
        ("{from: entity.identifiers.duns}", "9"),
        ("{from: customer.identifiers.gln}", None),
        ("{from: extensions.cost_center}", "0815"),
        ("{from: [due_date, purchase_order_reference, currency]}", "USD"),
        ("{from: due_date, default: soon}", "soon"),
        ("{from: due_date}", None),
        ("{const: NO}", "NO"),
        ("{const: 01234}", "01234"),
        ("{const: 1.10}", "1.10"),
        ("{from: buyer_reference, do: [upper]}", "AB-01.2"),
        ("{from: currency, do: [lower, trim]}", "usd"),
        ("{from: buyer_reference, do: [digits]}", "012"),
        ("{from: currency, do: [digits], default: none}", "none"),
    ],
)
def test_a_field_comes_from_where_its_entry_says(tmp_path: Path, entry: str, expected: str | None) -> None:
    """Values are text, as plain as the invoice has them; what nobody knows is left out."""
    fields = mapped(tmp_path, f"map: {{x: {entry}}}\n").fields
    assert ({} if expected is None else {"x": expected}) == fields


UOM = SAID + "unit,ariba,coupa\nEA,C62,Each\nHUR,HUR,\n"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("keep", ("C62", "BX")), ("empty", ("C62", "1"))],
)
def test_a_table_translates_each_line(tmp_path: Path, missing: str, expected: tuple[str, str]) -> None:
    """A value that the table lacks is kept, or left to the next source, as the entry says."""
    text = f"""lines:
  each: lines
  map:
    unit:
      lookup: {{table: codes/uom.csv, key: "lines[].unit", column: ariba, missing: {missing}}}
      from: account.identifiers.none
      default: 1
"""
    lines = mapped(tmp_path, text, {"uom": UOM}).lines
    assert expected == tuple(line["unit"] for line in lines)


def test_a_value_that_the_table_lacks_holds_the_invoice(tmp_path: Path) -> None:
    """The finding names the line, the value, the table and the entry, also where the field is optional."""
    text = """lines:
  map:
    unit: {lookup: {table: codes/uom.csv, key: "lines[].unit", column: coupa}, label: The unit}
"""
    folder = written(tmp_path, {"uom": UOM}, default=HEAD + text)
    result, findings = load(folder).apply(invoice(), FACTS)
    expected = Finding(
        "mapping:unit",
        Severity.BLOCK,
        "The unit: 'BX' is not in codes/uom.csv",
        "add a row for it to codes/uom.csv",
        "lines[1].unit",
        "BX",
        f"{folder}/p/default.yaml:4",
    )
    assert ((expected,), ({"unit": "Each"}, {})) == (findings, result.lines)


def test_everything_that_is_required_and_missing_is_told_at_once(tmp_path: Path) -> None:
    """Header and lines, each with its place, in the words of the mapping."""
    text = """map:
  po: {from: purchase_order_reference, required: true, label: The order, fix: ask the buyer}
  gln: {from: customer.identifiers.gln, required: true}
lines:
  each: lines
  map:
    part: {from: ["lines[].seller_item_id", "lines[].buyer_item_id"], required: true}
    name: {from: ["lines[].name", "lines[].description"], required: true}
"""
    folder = written(tmp_path, default=HEAD + text)
    _, findings = load(folder).apply(invoice(), FACTS)
    assert [(each.rule, each.message, each.fix, int(each.place.rpartition(":")[2])) for each in findings] == [
        ("mapping:po", "The order is missing: purchase_order_reference is empty", "ask the buyer", 3),
        ("mapping:gln", "gln is missing: customer.identifiers.gln is empty", "fill in customer.identifiers.gln", 4),
        ("mapping:part", "part is missing: lines[0].seller_item_id is empty", "fill in lines[0].seller_item_id", 8),
        ("mapping:part", "part is missing: lines[1].seller_item_id is empty", "fill in lines[1].seller_item_id", 8),
    ]
    assert {f"{folder}/p/default.yaml"} == {each.place.rpartition(":")[0] for each in findings}


def test_line_fields_may_come_from_the_header_and_the_account(tmp_path: Path) -> None:
    """A line's map reads the line, the invoice around it and the road."""
    text = """lines:
  map: {a: {from: currency}, b: {from: account.portal_customer}, c: {from: "lines[].id"}, d: {const: x}}
"""
    assert mapped(tmp_path, text).lines == (
        {"a": "USD", "b": "AN1", "c": "1", "d": "x"},
        {"a": "USD", "b": "AN1", "c": "2", "d": "x"},
    )


def test_layers_replace_entries_and_turn_them_off(tmp_path: Path) -> None:
    """Default, customer, entity, then the workspace's: the highest entry is the one that counts."""
    project = written(
        tmp_path / "project",
        default=HEAD + "map: {a: {const: 1}, b: {const: 2}}\nlines: {map: {u: {const: EA}}}\n",
        c="mapping_for: {portal: p, customer: c}\nmap: {b: {off: true}, c: {const: 3}}\n",
        c__e="mapping_for: {portal: p, customer: c, entity: e}\nlines: {map: {u: {const: HUR}}}\n",
    )
    workspace = written(tmp_path / "ws", default=HEAD + "map: {a: {const: 9}}\n")

    def fields(*folders: Path, customer: str | None = None, entity: str | None = None) -> tuple[dict[str, str], str]:
        result, _ = load(*folders, customer=customer, entity=entity).apply(invoice(), FACTS)
        return result.fields, result.lines[0]["u"]

    assert fields(project) == ({"a": "1", "b": "2"}, "EA")
    assert fields(project, customer="c") == ({"a": "1", "c": "3"}, "EA")
    assert fields(project, customer="c", entity="e") == ({"a": "1", "c": "3"}, "HUR")
    assert fields(project, workspace, customer="c", entity="e") == ({"a": "9", "c": "3"}, "HUR")


def test_a_workspaces_table_shadows_the_projects(tmp_path: Path) -> None:
    """The project ships an empty table of orders; the workspace's own is the one that is looked into."""
    text = "map: {id: {lookup: {table: codes/orders.csv, key: purchase_order_reference, column: id, missing: empty}}}\n"
    head = SAID + "order,id\n"
    project = written(tmp_path / "project", {"orders": head}, default=HEAD + text)
    workspace = written(tmp_path / "ws", {"orders": head + "4500017001,po-1@x.example\n"})
    ordered = invoice(purchase_order_reference="4500017001")
    assert load(project).apply(ordered, FACTS)[0].fields == {}
    assert load(project, workspace).apply(ordered, FACTS)[0].fields == {"id": "po-1@x.example"}
    assert load(project).version != load(project, workspace).version


def test_the_version_is_of_the_content(tmp_path: Path) -> None:
    """A comment changes nothing; another entry does."""
    versions = [
        load(written(tmp_path / str(i), default=text)).version
        for i, text in enumerate((HEAD + "map: {a: {const: 1}}", "# x\n" + HEAD + "map: {a: {const: 1}}", HEAD))
    ]
    assert versions[0] == versions[1]
    assert versions[0] != versions[2]
    assert len(versions[0]) == 16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("map: {x: {from: nmber}}", "2:11: unknown field 'nmber'; did you mean 'number'?"),
        ("map: {x: {from: [number, nmber]}}", "2:26: unknown field 'nmber'; did you mean 'number'?"),
        ("map: {x: {from: extensions.cost_centre}}", "2:11: the extension 'cost_centre' is declared for no header"),
        ("map: {x: {from: buyer}}", "2:11: 'buyer' is no single value; name a field of it"),
        ("map: {x: {from: 'lines[].unit'}}", "2:11: 'lines[].unit' is many values; put it under lines, map"),
        ("map: {x: {from: 'taxes[].rate'}}", "2:11: 'taxes[].rate' is many values; write [0] to take the first"),
        ("lines: {map: {x: {from: 'taxes[].rate'}}}", "2:19: 'taxes[].rate' is many values; write [0] to take the"),
        ("map: {x: {form: number}}", "2:11: unknown key 'form'; did you mean 'from'?"),
        ("map: {x: {}}", "2:7: map.x: nothing says where it comes from; give it from, lookup, const or default"),
        ("map: {x: {const: 1, from: number}}", "2:7: map.x: const stands alone; from, lookup and default"),
        ("map: {x: {from: number, do: [uper]}}", "2:30: map.x.do.0: input should be 'trim', 'upper', 'lower' or"),
        ("map: {x: {from: number, required: perhaps}}", "2:25: map.x.required: input should be a valid boolean"),
        ("map: {x: {off: true}}", "2:7: there is no 'x' below to turn off"),
        ("lines: {each: taxes, map: {}}", "2:9: lines.each: input should be 'lines'"),
        (
            "map: {x: {lookup: {table: codes/none.csv, key: number, column: a}}}",
            "2:20: there is no table 'codes/none.csv' in ",
        ),
        (
            "map: {x: {lookup: {table: ../uom.csv, key: number, column: a}}}",
            "2:20: map.x.lookup.table: is no table; write it as in codes/uom.csv",
        ),
        (
            "map: {x: {lookup: {table: codes/uom.csv, key: nmber, column: ariba}}}",
            "2:42: unknown field 'nmber'; did you mean 'number'?",
        ),
        (
            "map: {x: {lookup: {table: codes/uom.csv, key: number, column: arriba}}}",
            "2:55: codes/uom.csv has no column 'arriba'; did you mean 'ariba'?",
        ),
    ],
)
def test_every_mistake_in_a_mapping_is_told_at_its_place(tmp_path: Path, text: str, expected: str) -> None:
    """File, line and column, the thing that is wrong, and what would be right."""
    told = problems(written(tmp_path, {"uom": UOM}, default=HEAD + text))
    assert len(told) == 1
    assert told[0].startswith(f"p/default.yaml:{expected}")


def test_all_mistakes_of_a_stack_come_at_once(tmp_path: Path) -> None:
    """Every layer's fields and tables are looked at before anything is said."""
    folder = written(
        tmp_path,
        {"uom": SAID + "unit,ariba\nEA,1\nEA,2\n,3\nBX\n"},
        default=HEAD + "map: {a: {from: nmber}}\n",
        c="mapping_for: {portal: p, customer: c}\n"
        "map: {b: {lookup: {table: codes/uom.csv, key: numbr, column: ariba}}}\n",
    )
    assert problems(folder) == [
        "codes/uom.csv:4:1: the key 'EA' stands here twice (first in line 3); keep one",
        "codes/uom.csv:5:1: the key in column 'unit' is empty",
        "codes/uom.csv:6:1: has 1 cells where the table has 2 columns",
        "p/c.yaml:2:42: unknown field 'numbr'; did you mean 'number'?",
        "p/default.yaml:2:11: unknown field 'nmber'; did you mean 'number'?",
    ]


def test_a_file_must_agree_with_its_place(tmp_path: Path) -> None:
    """A copied file that still names another customer is no silent mapping of nobody."""
    folder = written(tmp_path, default="mapping_for: {portal: q}\n")
    assert problems(folder) == [
        "p/default.yaml:1:1: mapping_for says portal q, but the file stands where portal p is looked for"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"unit,ariba\nEA,EA\n", "1:1: the first line says where the table is from, as in # source: "),
        (b"# source: ; date: 2026-11-01\nunit,ariba\n", "1:1: the first line says where the table is from"),
        (SAID.encode(), "2:1: the second line must name the columns, the key first"),
        (SAID.encode() + b"unit,ariba,ariba\n", "2:1: the columns need names, each once"),
        (SAID.encode() + b"unit\n", "2:1: the columns need names, each once"),
        (SAID.encode() + b'unit,ariba\n"EA,EA\n', "3:1: is not CSV: unexpected end of data"),
        (SAID.encode() + b"unit,ariba\nEA,\xe9\n", "3:1: is not UTF-8; save the table as CSV UTF-8"),
        (SAID.encode() + b"u,a\n" + b"x" * 200_000 + b",1\n", "3:1: is not CSV: field larger than field limit"),
        (SAID.encode() + b"x" * 20_000_000, "1:1: larger than 20,000,000 bytes; split it"),
    ],
)
def test_a_table_that_is_none_is_refused_at_its_line(tmp_path: Path, content: bytes, expected: str) -> None:
    """A damaged, huge or unexplained table is an error, and is told once however often it is looked into."""
    lookup = "{lookup: {table: codes/uom.csv, key: number, column: ariba}}"
    folder = written(tmp_path, default=HEAD + f"map: {{a: {lookup}, b: {lookup}}}\n")
    (folder / "codes" / "uom.csv").write_bytes(content)
    told = problems(folder)
    assert len(told) == 1
    assert told[0].startswith(f"codes/uom.csv:{expected}")


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF, blank lines, quotes and blanks around a cell are what spreadsheets write."""
    content = "\ufeff" + SAID.replace("\n", "\r\n") + 'unit , ariba\r\n\r\n" INV-7 ","a, ""b"""\r\n'
    text = "map: {x: {lookup: {table: codes/uom.csv, key: number, column: ariba}}}\n"
    assert mapped(tmp_path, text, {"uom": content}).fields == {"x": 'a, "b"'}


def test_a_workspace_may_declare_extensions_and_may_not_redefine_them(tmp_path: Path) -> None:
    """Names add up over the folders; another type for a known name is refused at its line."""
    project = written(tmp_path / "project", default=HEAD)
    workspace = written(tmp_path / "ws")
    file = workspace / "extensions.yaml"
    file.write_text(EXTENSIONS.replace("Cost", "Our cost") + "  - {name: afe, level: line, label: AFE}\n")
    vocabulary = load_extensions([project, workspace])
    assert {"afe", "cost_center"} == vocabulary.at(Level.LINE).keys()
    assert {"cost_center"} == vocabulary.at(Level.HEADER).keys()
    assert vocabulary.extensions["cost_center"].label == "Our cost centre"
    file.write_text(EXTENSIONS.replace("text", "number") + "  - {name: AFE, level: line, label: AFE}\n")
    with pytest.raises(SourceError, match=r"extensions\.yaml:3:6: extensions\.1\.name: cannot name an extension"):
        load_extensions([project, workspace])
    file.write_text(EXTENSIONS.replace("text", "number"))
    with pytest.raises(SourceError, match=r"ws/extensions\.yaml:2:6: the extension 'cost_center' stands already in "):
        load_extensions([project, workspace])


def test_the_schema_describes_a_file_of_mappings() -> None:
    """An editor knows every key, and takes a number where we keep text."""
    schema = mapping_schema()
    assert {"mapping_for", "owner", "map", "lines"} == schema["properties"].keys()
    entry = schema["$defs"]["Entry"]["properties"]
    assert {"from", "const", "lookup", "do", "default", "required", "label", "fix", "off"} == entry.keys()
    assert entry["const"]["anyOf"][0]["type"] == ["string", "number", "boolean"]
