from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from hub.contract.invoice import Invoice
from hub.requirements.cases import CaseResult, run_cases
from hub.requirements.extensions import Extension, Level, Vocabulary
from hub.requirements.finding import Finding, Severity
from hub.requirements.paths import Facts
from hub.requirements.rules import Rulebook, load_rules, rules_schema
from hub.yamlsource import SourceError

TODAY = dt.date(2026, 9, 10)
VOCABULARY = Vocabulary({"visit": Extension(name="visit", type="date", level=Level.HEADER, label="Visit")})
HEAD = "rules_for: {portal: p}\nrequire:\n"
SOURCE = "    source: guide\n    checked_on: 2026-11-01\n"
BASE: dict[str, Any] = {
    "number": "INV-7",
    "issue_date": "2026-09-08",
    "type_code": "380",
    "currency": "USD",
    "seller": {"name": "Northfield"},
    "buyer": {"name": "Cascadia"},
    "totals": {"lines": "100", "without_tax": "100", "with_tax": "100", "payable": "100"},
    "lines": [{"id": "1", "quantity": "2", "net": "60", "unit": "EA"}, {"id": "2", "quantity": "1", "net": "40"}],
}


def invoice(**fields: Any) -> Invoice:
    return Invoice.model_validate(BASE | fields)


def written(folder: Path, **files: str) -> Path:
    """A folder of rules for the portal `p`; double underscores stand for dots in names."""
    (folder / "p").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "p" / f"{name.replace('__', '.')}.yaml").write_text(text, encoding="utf-8")
    return folder


def load(*folders: Path, customer: str | None = None, entity: str | None = None) -> Rulebook:
    return load_rules(folders, "p", customer, entity, vocabulary=VOCABULARY)


def rule(asks: str, field: str = "purchase_order_reference", rule_id: str = "r") -> str:
    return f"  - id: {rule_id}\n    field: {field}\n    message: Not so\n{asks}\n{SOURCE}"


def found(tmp_path: Path, asks: str, field: str, **fields: Any) -> list[tuple[str, str, str]]:
    """What one rule finds: the field, its value and the words behind its message."""
    book = load(written(tmp_path, default=HEAD + rule(asks, field)))
    findings = book.check(invoice(**fields), TODAY)
    return [(each.field, each.value, each.message.removeprefix("Not so")) for each in findings]


def problems(tmp_path: Path, **files: str) -> list[str]:
    """What loading these files says, without the folder."""
    folder = written(tmp_path, **files)
    with pytest.raises(SourceError) as refused:
        load(folder, customer="c", entity="e")
    return [str(problem).removeprefix(f"{folder}/p/") for problem in refused.value.problems]


PO = {"purchase_order_reference": "4500012345"}
FORMAT = "    format: {regex: '45\\d{8}', example: \"4500012345\"}"


@pytest.mark.parametrize(
    ("asks", "field", "fields", "expected"),
    [
        ("    required: true", "purchase_order_reference", {}, [("purchase_order_reference", "", "")]),
        ("    required: true", "purchase_order_reference", PO, []),
        ("    required: true", "attachments", {}, [("attachments", "", "")]),
        ("    required: true", "attachments", {"attachments": [{"name": "a.pdf"}]}, []),
        ("    required: true", "lines[].unit", {}, [("lines[1].unit", "", "")]),
        ("    required: true", "parties.remit_to.name", {}, [("parties.remit_to.name", "", "")]),
        (FORMAT, "purchase_order_reference", PO, []),
        (FORMAT, "purchase_order_reference", {}, [("purchase_order_reference", "", " (it is missing)")]),
        (FORMAT + "\n    required: false", "purchase_order_reference", {}, []),
        (
            FORMAT,
            "purchase_order_reference",
            {"purchase_order_reference": "x4500012345"},
            [("purchase_order_reference", "x4500012345", " (a right one looks like 4500012345)")],
        ),
        (
            "    format: {not_regex: '(?i).*\\.exe', example: a.pdf}",
            "attachments[].name",
            {"attachments": [{"name": "a.pdf"}, {"name": "b.EXE"}]},
            [("attachments[1].name", "b.EXE", " (a right one looks like a.pdf)")],
        ),
        ("    one_of: [USD, EUR]", "currency", {"currency": "EUR"}, []),
        ("    one_of: [USD, EUR]", "currency", {"currency": "GBP"}, [("currency", "GBP", " (allowed: USD, EUR)")]),
        ("    one_of: [1, 2.00]", "lines[].quantity", {}, []),
        ("    one_of: [1]", "lines[].quantity", {}, [("lines[0].quantity", "2", " (allowed: 1)")]),
        ("    max_length: 4", "number", {}, [("number", "INV-7", " (it has 5 characters, 4 are allowed)")]),
        ("    max_length: 5", "number", {}, []),
        ("    max_length: 5", "buyer_reference", {}, []),
        ("    date: {no_future: true}", "issue_date", {"issue_date": "2026-09-10"}, []),
        (
            "    date: {no_future: true}",
            "issue_date",
            {"issue_date": "2026-09-11"},
            [("issue_date", "2026-09-11", " (2026-09-10 is the last day allowed)")],
        ),
        ("    date: {max_age_days: 2}", "issue_date", {}, []),
        (
            "    date: {max_age_days: 1}",
            "issue_date",
            {},
            [("issue_date", "2026-09-08", " (2026-09-09 is the first day allowed)")],
        ),
        (
            "    date: {not_before: today - 1, not_after: today+2}",
            "issue_date",
            {"issue_date": "2026-09-13"},
            [("issue_date", "2026-09-13", " (2026-09-12 is the last day allowed)")],
        ),
        (
            "    date: {not_before: 2026-10-01}",
            "issue_date",
            {},
            [("issue_date", "2026-09-08", " (2026-10-01 is the first day allowed)")],
        ),
        ("    date: {no_future: true}", "extensions.visit", {"extensions": {"visit": "2026-09-01"}}, []),
        (
            "    date: {no_future: true}",
            "extensions.visit",
            {"extensions": {"visit": "09/01/2026"}},
            [("extensions.visit", "09/01/2026", " (this is no date; write it as 2026-11-01)")],
        ),
        ("    date: {no_future: true}", "due_date", {}, [("due_date", "", " (it is missing)")]),
        (
            "    format: {regex: '[A-Z]+', example: A}\n    max_length: 3",
            "number",
            {"number": "inv-7"},
            [("number", "inv-7", " (a right one looks like A; it has 5 characters, 3 are allowed)")],
        ),
    ],
)
def test_each_kind_finds_what_it_should_and_nothing_else(
    tmp_path: Path, asks: str, field: str, fields: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    """A finding names the very field, its value and what would have been right."""
    assert expected == found(tmp_path, asks, field, **fields)


CREDIT = {"type_code": "381"}


@pytest.mark.parametrize(
    ("when", "fields", "asked"),
    [
        ("{field: kind, equals: invoice}", {}, True),
        ("{field: kind, equals: invoice}", CREDIT, False),
        ("{field: type_code, one_of: [381, 383]}", CREDIT, True),
        ("{field: type_code, one_of: [381, 383]}", {}, False),
        ("{field: parties.remit_to, present: true}", {}, False),
        ("{field: parties.remit_to, present: true}", {"parties": {"remit_to": {"name": "Bank"}}}, True),
        ("{field: buyer_reference, present: false}", {}, True),
        ("{field: totals.payable, equals: 100.00}", {}, True),
        ("{field: account.portal_customer, equals: AN1}", {}, True),
        ("{field: account.identifiers.plant, present: true}", {}, False),
        ("[{field: kind, equals: credit}, {field: currency, equals: USD}]", CREDIT, True),
        ("[{field: kind, equals: credit}, {field: currency, equals: EUR}]", CREDIT, False),
    ],
)
def test_a_rule_asks_only_under_its_conditions(
    tmp_path: Path, when: str, fields: dict[str, Any], *, asked: bool
) -> None:
    """All conditions must hold, of the invoice and of the account."""
    book = load(written(tmp_path, default=HEAD + rule(f"    required: true\n    when: {when}")))
    findings = book.check(invoice(**fields), TODAY, Facts(portal_customer="AN1"))
    assert asked is bool(findings)


def test_a_condition_on_a_line_is_about_that_line(tmp_path: Path) -> None:
    """Only the line with a unit is asked for its item number."""
    asks = "    required: true\n    when: {field: 'lines[].unit', equals: EA}"
    assert found(tmp_path, asks, "lines[].seller_item_id") == [("lines[0].seller_item_id", "", "")]


def test_all_findings_come_at_once_in_a_clerks_words(tmp_path: Path) -> None:
    """Nothing hides behind the first finding, and each says where the rule stands and how to mend it."""
    text = f"""{HEAD}  - id: p.order
    field: purchase_order_reference
    required: true
    message: The order is missing
    fix: ask the buyer
{SOURCE}  - id: p.unit
    field: lines[].unit
    max_length: 1
    severity: warn
    message: The unit is long
{SOURCE}"""
    folder = written(tmp_path, default=text)
    expected = (
        Finding(
            "p.order",
            Severity.BLOCK,
            "The order is missing",
            "ask the buyer",
            "purchase_order_reference",
            "",
            f"{folder}/p/default.yaml:3",
        ),
        Finding(
            "p.unit",
            Severity.WARN,
            "The unit is long (it has 2 characters, 1 are allowed)",
            "",
            "lines[0].unit",
            "EA",
            f"{folder}/p/default.yaml:10",
        ),
    )
    assert expected == load(folder).check(invoice(), TODAY)


def test_layers_add_change_and_turn_off(tmp_path: Path) -> None:
    """Default, customer, entity, then the same of the workspace: what stands higher has the last word."""
    project = written(
        tmp_path / "project",
        default=HEAD + rule("    max_length: 4", "number", "a") + rule("    required: true", rule_id="b"),
        c="rules_for: {portal: p, customer: c}\nrequire:\n"
        + rule("    required: true", "buyer_reference", "c1")
        + f"  - override: a\n    max_length: 9\n{SOURCE}",
        c__e=f"rules_for: {{portal: p, customer: c, entity: e}}\nrequire:\n  - override: b\n    off: true\n{SOURCE}",
    )
    workspace = written(
        tmp_path / "workspace",
        c="rules_for: {portal: p, customer: c}\nrequire:\n"
        f"  - override: c1\n    severity: warn\n    fix: call\n{SOURCE}",
    )

    def ids(customer: str | None, entity: str | None, *folders: Path) -> list[tuple[str, str, str]]:
        findings = load(*folders, customer=customer, entity=entity).check(invoice(), TODAY)
        return [(each.rule, each.severity.value, each.fix) for each in findings]

    assert ids(None, None, project) == [("a", "block", ""), ("b", "block", "")]
    assert ids("other", "e", project) == [("a", "block", ""), ("b", "block", "")]
    assert ids("c", None, project) == [("b", "block", ""), ("c1", "block", "")]
    assert ids("c", "e", project) == [("c1", "block", "")]
    assert ids("c", "e", project, workspace) == [("c1", "warn", "call")]


def test_an_override_can_take_a_condition_away_and_turn_a_rule_on_again(tmp_path: Path) -> None:
    """An empty key removes what stood below; an override without off brings a rule back."""
    written(
        tmp_path,
        default=HEAD + rule("    required: true\n    when: {field: kind, equals: credit}"),
        c=f"rules_for: {{portal: p, customer: c}}\nrequire:\n  - override: r\n    off: true\n{SOURCE}",
        c__e=f"rules_for: {{portal: p, customer: c, entity: e}}\nrequire:\n  - override: r\n    when:\n{SOURCE}",
    )
    assert load(tmp_path, customer="c").check(invoice(**CREDIT), TODAY) == ()
    finding = load(tmp_path, customer="c", entity="e").check(invoice(), TODAY)[0]
    assert ("r", f"{tmp_path}/p/c.e.yaml:3") == (finding.rule, finding.place)


def test_the_version_is_of_the_content(tmp_path: Path) -> None:
    """Another place or a comment changes nothing; another demand does."""
    first = load(written(tmp_path / "1", default=HEAD + rule("    max_length: 4", "number"))).version
    moved = load(written(tmp_path / "2", default="# moved\n\n" + HEAD + rule("    max_length: 4", "number"))).version
    other = load(written(tmp_path / "3", default=HEAD + rule("    max_length: 5", "number"))).version
    assert first == moved
    assert first != other
    assert len(first) == 16


def test_words_stay_the_text_that_was_written(tmp_path: Path) -> None:
    """NO is Norway, 01234 keeps its zero and 1.10 its end."""
    asks = "    one_of: [NO, 01234, 1.10]"
    assert found(tmp_path, asks, "buyer_reference", buyer_reference="NO") == []
    assert found(tmp_path, asks, "buyer_reference", buyer_reference="01234") == []
    assert found(tmp_path, asks, "buyer_reference", buyer_reference="1.10") == []
    words = " (allowed: NO, 01234, 1.10)"
    assert [("buyer_reference", "1.1", words)] == found(tmp_path, asks, "buyer_reference", buyer_reference="1.1")


@pytest.mark.parametrize(
    ("asks", "field", "place", "message"),
    [
        ("    required: true", "purchase_order_ref", "4:5", "unknown field 'purchase_order_ref'; did you mean"),
        ("    required: true", "extensions.vist", "4:5", "the extension 'vist' is declared for no header"),
        ("    requird: true", "number", "6:5", "unknown key 'requird'; did you mean 'required'?"),
        ("    required: false", "number", "3:5", "require.0: the rule 'r' asks for nothing; give it one of"),
        ("    max_length: 0", "number", "6:5", "require.0.max_length: input should be greater than or equal to 1"),
        ("    one_of: []", "number", "6:5", "require.0.one_of: tuple should have at least 1 item"),
        ("    max_length: 5", "issue_date", "6:5", "max_length cannot be asked of 'issue_date', which is a date"),
        ("    date: {no_future: true}", "number", "6:5", "date cannot be asked of 'number', which is a text"),
        ("    one_of: [a]", "attachments", "6:5", "one_of cannot be asked of 'attachments', which is a part"),
        ("    one_of: [1, x]", "totals.tax", "6:5", "'x' is no number"),
        ("    date: {}", "issue_date", "6:5", "require.0.date: a date needs not_before, not_after"),
        ("    date: {not_after: tomorrow}", "issue_date", "6:12", "require.0.date.not_after: is no limit; write today"),
        ("    format: {regex: '(', example: x}", "number", "6:14", "require.0.format.regex: is no regular expression"),
        (
            "    format: {regex: '(?=a)', example: x}",
            "number",
            "6:14",
            "require.0.format.regex: is no regular expression of RE2: invalid perl operator: (?=",
        ),
        ("    format: {regex: 'a', example: b}", "number", "6:5", "require.0.format: its own example 'b' does not fit"),
        ("    format: {example: b}", "number", "6:5", "require.0.format: a format needs regex or not_regex"),
        ("    required: true\n    when: {field: kid, equals: x}", "number", "7:5", "unknown field 'kid'"),
        (
            "    required: true\n    when:\n      - {field: currency, equals: X}\n      - {field: due_date, equals: x}",
            "number",
            "9:9",
            "'x' is no date",
        ),
        (
            "    required: true\n    when: {field: kind}",
            "number",
            "7:5",
            "require.0.when: a condition needs exactly one of equals, one_of and present",
        ),
        (
            "    required: true\n    when: {field: buyer, equals: x}",
            "number",
            "7:5",
            "'buyer' is no single value; only present: true or false can be asked of it",
        ),
        (
            "    required: true\n    when: {field: 'lines[].unit', present: true}",
            "number",
            "7:5",
            "a condition on lines[] needs a rule on lines[]; this one is on number",
        ),
    ],
)
def test_every_mistake_in_a_rule_is_told_at_its_place(
    tmp_path: Path, asks: str, field: str, place: str, message: str
) -> None:
    """File, line and column, the thing that is wrong, and what would be right."""
    told = problems(tmp_path, default=HEAD + rule(asks, field))
    assert len(told) == 1
    assert told[0].startswith(f"default.yaml:{place}: {message}")


def test_all_mistakes_of_all_layers_come_at_once(tmp_path: Path) -> None:
    """Mending one file does not bring up the next complaint."""
    told = problems(
        tmp_path,
        default=HEAD + rule("    required: true", "nmber", "a") + rule("    max_length: 4", "number", "a2"),
        c="rules_for: {portal: p, customer: c}\nrequire:\n"
        f"  - override: a3\n    off: true\n{SOURCE}  - override: a\n    required: true\n{SOURCE}"
        + rule("    required: true", "number", "a2"),
        c__e=f"rules_for: {{portal: p, customer: c}}\nrequire:\n  - override: a2\n    max_length:\n{SOURCE}",
    )
    stands = "but the file stands where portal p, customer c, entity e is looked for"
    assert told == [f"c.e.yaml:1:1: rules_for says portal p, customer c, {stands}"]
    (tmp_path / "p" / "c.e.yaml").write_text(
        f"rules_for: {{portal: p, customer: c, entity: e}}\nrequire:\n  - override: a2\n    max_length:\n{SOURCE}"
    )
    change = "write override: a2 to change that rule"
    assert [
        "c.e.yaml:3:5: nothing is left of the rule 'a2'; write off: true to turn it off",
        "c.yaml:3:5: there is no rule 'a3' below; known are a2",
        f"c.yaml:11:5: the id 'a2' stands already in {tmp_path}/p/default.yaml:9:5; {change}",
        "default.yaml:4:5: unknown field 'nmber'; did you mean 'number'?",
    ] == problems(tmp_path)


def test_a_rule_must_say_where_it_was_learnt_and_when(tmp_path: Path) -> None:
    """Without source and date nobody can check it again; a number is no date."""
    told = problems(
        tmp_path,
        default=HEAD + "  - id: r\n    field: number\n    max_length: 9\n    message: Long\n    checked_on: 20261101\n",
    )
    assert told == [
        "default.yaml:3:5: require.0: the key 'source' is missing",
        "default.yaml:7:5: require.0.checked_on: is no date; write it as 2026-11-01 (it says '20261101')",
    ]


def test_an_override_is_checked_as_an_override(tmp_path: Path) -> None:
    """A typo in it is told with the words an override knows, and its changes are judged against the rule's field."""
    written(tmp_path, default=HEAD + rule("    max_length: 9", "number"))
    told = problems(
        tmp_path,
        c=f"rules_for: {{portal: p, customer: c}}\nrequire:\n  - override: r\n    severty: warn\n{SOURCE}",
        c__e="rules_for: {portal: p, customer: c, entity: e}\n"
        f"require:\n  - override: r\n    date: {{no_future: true}}\n{SOURCE}",
    )
    assert told == ["c.yaml:4:5: unknown key 'severty'; did you mean 'severity'?"]
    (tmp_path / "p" / "c.yaml").unlink()
    assert problems(tmp_path) == ["c.e.yaml:4:5: date cannot be asked of 'number', which is a text"]


def test_a_portal_without_rules_and_files_that_nobody_reads_are_errors(tmp_path: Path) -> None:
    """A mistyped portal or ending is never silently no rules at all."""
    (tmp_path / "p").mkdir()
    assert problems(tmp_path) == [
        "default.yaml:1:1: there is nothing for the portal 'p' in any folder; write this file"
    ]
    written(tmp_path, default="rules_for: {portal: p}\n")
    (tmp_path / "p" / "c.yml").write_text("rules_for: {portal: p, customer: c}\n")
    assert problems(tmp_path) == ["c.yml:1:1: is not read; rename it to .yaml"]


@pytest.mark.parametrize("name", ["../p", "p/..", "/etc", "p\x00", " ", "a.b", "default"])
def test_names_lead_nowhere_else(tmp_path: Path, name: str) -> None:
    """A name that is no plain word is refused before any file is touched; default is everybody's."""
    written(tmp_path, default="rules_for: {portal: p}\n")
    for names in ((name, None, None), ("p", name, None), ("p", "c", name)):
        with pytest.raises(SourceError, match="cannot name a file of this folder"):
            load_rules([tmp_path], *names, vocabulary=VOCABULARY)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x\n",
        "!!python/object/apply:os.system [id]\n",
        "[" * 5000,
        "rules_for: {portal: p}\nrules_for: {portal: p}\n",
        "- 1\n",
        "just words\n",
        "rules_for: {portal: p}\nrequire: {id: x}\n",
        "rules_for: {portal: p}\nrequire:\n  - words\n  -\n  - []\n",
        "x" * 1_000_001,
    ],
)
def test_hostile_files_are_refused_with_a_place(tmp_path: Path, text: str) -> None:
    """Whatever a file holds, it ends in an error that names the file and the line."""
    assert all(told.startswith("default.yaml:") for told in problems(tmp_path, default=text))


def test_a_hostile_expression_ends(tmp_path: Path) -> None:
    """What makes other engines backtrack for hours is linear here."""
    asks = "    format: {regex: '(a+)+', example: a}"
    book = load(written(tmp_path, default=HEAD + rule(asks, "buyer_reference")))
    findings = book.check(invoice(buyer_reference="a" * 9_999 + "!"), TODAY)
    assert len(findings) == 1
    assert len(findings[0].value) == 200


CASED = f"""rules_for: {{portal: p}}
require:
{rule(FORMAT)}example:
  base: {json.dumps(BASE | PO)}
cases:
"""


def cases(*folders: Path) -> list[CaseResult]:
    return [result for result in run_cases(folders, VOCABULARY) if not result.ok]


def test_a_case_proves_its_rule(tmp_path: Path) -> None:
    """Expected findings that come make no result but a good one."""
    text = CASED + "  - {name: missing, given: {set: {purchase_order_reference: ''}}, expect: {held_by: [r]}}\n"
    folder = written(tmp_path, default=text + "  - {name: good, expect: {passes: true, warned_by: []}}\n")
    results = run_cases([folder], VOCABULARY)
    place = f"{folder}/p/default.yaml"
    assert (CaseResult(f"{place}:12", "missing"), CaseResult(f"{place}:13", "good")) == results


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        (
            "{name: x, given: {set: {purchase_order_reference: '47'}}, expect: {passes: true}}",
            "held by r: Not so (a right one looks like 4500012345)",
        ),
        ("{name: x, expect: {held_by: [r]}}", "not held by r"),
        ("{name: x, expect: {warned_by: [r]}}", "not warned by r"),
        (
            "{name: x, given: {set: {nmber: 1}}, expect: {passes: true}}",
            "the case's invoice cannot be made: unknown field 'nmber'; did you mean 'number'?",
        ),
        (
            "{name: x, given: {set: {number: ''}}, expect: {passes: true}}",
            "the case's invoice cannot be made: number: Field required",
        ),
        (
            "{name: x, given: {set: {'lines[7].unit': EA}}, expect: {passes: true}}",
            "the case's invoice cannot be made: set: the invoice has no 'lines[7]', which 'lines[7].unit' names",
        ),
        (
            "{name: x, given: {base: ../secret.json}, expect: {passes: true}}",
            "the case's invoice cannot be made: '../secret.json' leads out of the folder; name a file within it",
        ),
    ],
)
def test_a_case_that_comes_out_otherwise_fails_with_the_reason(tmp_path: Path, case: str, problem: str) -> None:
    """The words say what was found and what was not; the rule itself is then without a case."""
    folder = written(tmp_path, default=f"{CASED}  - {case}\n")
    assert problem == cases(folder)[0].problem


def test_a_rule_without_a_case_that_it_catches_fails(tmp_path: Path) -> None:
    """A case that merely passes proves nothing of the rule."""
    folder = written(tmp_path, default=CASED + "  - {name: good, expect: {passes: true}}\n")
    expected = CaseResult(f"{folder}/p/default.yaml:3", "r", "the rule has no case that it catches; write one in cases")
    assert [expected] == cases(folder)


def test_a_rule_turned_off_needs_a_case_that_it_would_have_caught(tmp_path: Path) -> None:
    """The case is caught below and passes here; one that passes in both proves nothing."""
    held = "  - {name: missing, given: {set: {purchase_order_reference: ''}}, expect: {held_by: [r]}}\n"
    project = written(tmp_path / "project", default=CASED + held)
    off = f"rules_for: {{portal: p, customer: c}}\nrequire:\n  - override: r\n    off: true\n{SOURCE}cases:\n"
    workspace = written(tmp_path / "workspace", c=off + "  - {name: good, expect: {passes: true}}\n")
    expected = "the rule has no case that it would have caught; write one in cases"
    assert [expected] == [result.problem for result in cases(project, workspace)]
    freed = "  - {name: freed, given: {set: {purchase_order_reference: ''}}, expect: {passes: true}}\n"
    written(tmp_path / "workspace", c=off + freed)
    assert cases(project, workspace) == []


def test_cases_start_from_a_file_and_know_the_account(tmp_path: Path) -> None:
    """A base may be an invoice's JSON in the folder of rules; facts are set by their paths; today is its own day."""
    (tmp_path / "acme.json").write_text(json.dumps(BASE), encoding="utf-8")
    text = f"""{HEAD}{rule("    one_of: [AN1]", "account.portal_customer")}{
        rule("    date: {no_future: true}", "issue_date", "day")
    }cases:
  - name: an unknown account
    given: {{base: acme.json}}
    expect: {{held_by: [r]}}
  - name: tomorrow
    given: {{base: acme.json, set: {{account.portal_customer: AN1, issue_date: 2026-09-09}}}}
    expect: {{held_by: [day]}}
  - name: known
    given: {{base: acme.json, set: {{account.portal_customer: AN1, account.identifiers.plant: 7}}}}
    expect: {{passes: true}}
"""
    assert cases(written(tmp_path, default=text)) == []


def test_a_file_that_cannot_be_read_fails_as_a_case(tmp_path: Path) -> None:
    """One broken file does not keep the others' cases from being run."""
    folder = written(tmp_path, default=CASED + "  []\n", c="rules_for: {portal: q, customer: c}\n")
    names = [(result.place.removeprefix(f"{folder}/p/"), result.name) for result in cases(folder)]
    assert names == [("c.yaml:1", "loads"), ("default.yaml:3", "r")]


def test_the_schema_describes_a_file_of_rules() -> None:
    """An editor knows every key, and takes a number where we keep text."""
    schema = rules_schema()
    assert {"rules_for", "owner", "example", "require", "cases"} == schema["properties"].keys()
    assert schema["$defs"]["Rule"]["properties"]["one_of"]["anyOf"][0]["items"]["type"] == [
        "string",
        "number",
        "boolean",
    ]
