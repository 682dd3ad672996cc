"""The commands that only look: read, status, explain, tasks, verify, doctor, and how a workspace begins."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from pathlib import Path

import pytest
import workbench
from rich.console import Console
from workbench import FIXTURES, Bench, Command, service

import hub.cli
from hub import shell
from hub.contract.status import Stage, Submission, WhoseMove
from hub.shell import opened

# What could drive a terminal or turn the text around it; tab and line feed are ours.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _numbers(out: str) -> set[str]:
    return {line.split("\t")[0].split(" ")[0] for line in out.splitlines()[1:]}


# Beginning


def test_init_makes_a_workspace_that_the_doctor_finds_sound(anywhere: Command, tmp_path: Path) -> None:
    """`hub init` says what it made and what comes next; `hub doctor` and `hub run --once` work at once."""
    made = anywhere("init", tmp_path / "new")
    assert (0, "") == (made.exit_code, made.stderr)
    assert f"made {tmp_path / 'new' / 'hub.yaml'}\n" in made.stdout
    assert f"hub -w {tmp_path / 'new'} doctor" in made.stdout
    healthy = anywhere("-w", tmp_path / "new", "doctor")
    assert (0, True) == (healthy.exit_code, "FAIL" not in healthy.stdout)
    assert 0 == anywhere("-w", tmp_path / "new", "run", "--once").exit_code
    assert (0, 1) == ((found := anywhere("-w", tmp_path / "new", "status")).exit_code, len(found.stdout.splitlines()))


def test_init_touches_no_workspace_that_is_there(anywhere: Command, tmp_path: Path) -> None:
    """A second `hub init` changes nothing and says so."""
    anywhere("init", tmp_path)
    (tmp_path / "hub.yaml").write_text("# mine", encoding="utf-8")
    again = anywhere("init", tmp_path)
    assert (1, "") == (again.exit_code, again.stdout)
    assert "exists already; nothing was changed" in again.stderr
    assert "# mine" == (tmp_path / "hub.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["status", "tasks", "evidence verify", "run", "check", "serve"])
def test_without_a_workspace_the_way_to_one_is_told(anywhere: Command, tmp_path: Path, name: str) -> None:
    """Every command that needs hub.yaml names the folder where it looked and `hub init`."""
    lost = anywhere("-w", tmp_path, *name.split())
    assert (1, "") == (lost.exit_code, lost.stdout)
    assert f"hub init {tmp_path}" in lost.stderr
    assert 1 == len(lost.stderr.splitlines())
    assert [] == list(tmp_path.iterdir())


def test_a_misspelt_key_is_named_with_its_line_and_what_was_meant(hub: Command, bench: Bench) -> None:
    """A typing error in hub.yaml stops every command at its file and line; the doctor too."""
    bench.change("time_zone: America/Denver", "time_zome: America/Denver")
    stopped = hub("status")
    assert (1, "") == (stopped.exit_code, stopped.stdout)
    assert re.search(r"hub\.yaml:3:1: unknown key 'time_zome'; did you mean 'time_zone'\?", stopped.stderr)
    told = hub("doctor")
    assert 1 == told.exit_code
    assert re.search(r"FAIL configuration: .*hub\.yaml:3:1: unknown key 'time_zome'", told.stdout)


def test_the_doctor_names_a_secret_that_is_gone_and_not_its_value(hub: Command, bench: Bench) -> None:
    """What a reference leads to is named by its place."""
    (bench.folder / "secrets" / "shared-us").unlink()
    told = hub("doctor")
    assert 1 == told.exit_code
    assert "secrets/shared-us" in told.stdout
    assert "demo-" not in told.stdout


def test_wrong_usage_ends_with_2(anywhere: Command) -> None:
    """What click itself refuses is usage, not failure."""
    for arguments in (["frobnicate"], ["status", "--nonsense"], ["explain"], ["read"], ["serve", "--port", "99999"]):
        wrong = anywhere(*arguments)
        assert (2, True) == (wrong.exit_code, "Usage:" in wrong.stderr), arguments


# Reading


def test_read_tells_of_every_file_and_refuses_the_bad_ones(anywhere: Command) -> None:
    """Folders and files, one line each; a refused one has its reason, and then the status is 1."""
    good = anywhere("read", FIXTURES, FIXTURES / "other" / "credit-note-381.xml")
    assert (0, 15) == (good.exit_code, len(good.stdout.splitlines()))
    assert f"read     {FIXTURES / 'RA-26-2003.xml'}: credit RA-26-2003, 129.41 EUR\n" in good.stdout
    bad = anywhere("read", FIXTURES / "refused", FIXTURES / "RV-26-1001.xml")
    assert 1 == bad.exit_code
    assert len(list((FIXTURES / "refused").iterdir())) == bad.stdout.count("refused  ")
    assert 1 == bad.stdout.count("\nread     ")


def test_read_as_json_has_one_object_a_line(anywhere: Command) -> None:
    """For programs: the same keys for each file, amounts as text, a reason only where it was refused."""
    told = anywhere("read", "--json", FIXTURES, FIXTURES / "refused")
    files = [json.loads(line) for line in told.stdout.splitlines()]
    assert 1 == told.exit_code
    assert {("file", "outcome", "number", "kind", "currency", "total", "reason")} == {tuple(file) for file in files}
    assert all((file["outcome"] == "read") == (file["reason"] is None) for file in files)
    assert {
        "file": str(FIXTURES / "RV-26-1006.pdf"),
        "outcome": "read",
        "number": "RV-26-1006",
        "kind": "invoice",
        "currency": "USD",
        "total": "1713.28",
        "reason": None,
    } in files


def test_read_says_what_cannot_be_read(anywhere: Command, tmp_path: Path) -> None:
    """No such file, an empty folder, a name that is no text: each is told, none ends the command."""
    (tmp_path / "empty").mkdir()
    odd = os.fsencode(tmp_path) + b"/odd-\xff\x1b[31m.xml"
    Path(os.fsdecode(odd)).write_bytes(b"<a/>")
    told = anywhere("read", tmp_path / "missing.xml", tmp_path / "empty", Path(os.fsdecode(odd)))
    missing, empty, strange = told.stdout.splitlines()
    assert 1 == told.exit_code
    assert f"refused  {tmp_path / 'missing.xml'}: cannot be read: No such file or directory" == missing
    assert "no file is in this folder" in empty
    assert "odd-" in strange
    assert not _UNSAFE.search(strange)


def test_read_says_what_may_not_be_read(anywhere: Command, tmp_path: Path) -> None:
    """A file without permission is refused with the system's words, and the next one is read."""
    closed = tmp_path / "closed.xml"
    closed.write_bytes(service("SV-1"))
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user may read everything")
    told = anywhere("read", closed, FIXTURES / "RV-26-1001.xml")
    assert (1, 2) == (told.exit_code, len(told.stdout.splitlines()))
    assert f"refused  {closed}: cannot be read: Permission denied\n" in told.stdout


# Where things stand


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), 14),
        (("--text", "1003"), 1),
        (("--text", "oakhurst"), 3),
        (("--entity", "ridgeline-de"), 4),
        (("--customer", "cascadia"), 6),
        (("--account", "meridian-de"), 4),
        (("--submission", "held"), 2),
        (("--submission", "held", "--submission", "refused"), 3),
        (("--stage", "paid"), 1),
        (("--stage", "paid", "--stage", "rejected"), 2),
        (("--stage", "none", "--customer", "meridian"), 3),
        (("--whose-move", "us_ops"), 3),
        (("--kind", "credit"), 1),
        (("--outcome", "refused"), 1),
        (("--customer", "cascadia", "--stage", "paid", "--submission", "accepted"), 1),
        (("--text", "nothing like it"), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_status_shows_what_is_asked_for(look: Command, filters: tuple[str, ...], expected: int) -> None:
    """Every filter, alone and together, in lines and in JSON."""
    lines, objects = look("status", *filters), look("status", "--json", *filters)
    assert (0, 0, "", "") == (lines.exit_code, objects.exit_code, lines.stderr, objects.stderr)
    numbers = {row["number"] for row in json.loads(objects.stdout)}
    assert (expected, numbers) == (len(numbers), _numbers(lines.stdout))


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (("--stage", "payed"), "stage: 'payed' is not known; did you mean paid?"),
        (("--submission", "hold"), "submission: 'hold' is not known; did you mean held?"),
        (("--whose-move", "me"), f"Known: {', '.join(sorted(WhoseMove))}"),
        (("--kind", "invoise"), "did you mean invoice?"),
        (("--outcome", "bad"), "outcome: 'bad' is not known"),
        (("--customer", "cascada"), "customer: 'cascada' is not known; did you mean cascadia?"),
        (("--entity", "x"), "Known: ridgeline-de, ridgeline-us"),
        (("--account", "x"), "Known: cascadia-us, meridian-de, oakhurst-us"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_filter_that_nothing_can_match_is_refused(look: Command, filters: tuple[str, ...], told: str) -> None:
    """An empty answer must not look like good news: the value is named with the known ones."""
    refused = look("status", *filters)
    assert (1, "", True) == (refused.exit_code, refused.stdout, told in refused.stderr), refused.stderr


def test_the_help_names_every_word_a_filter_takes(look: Command) -> None:
    """What can be filtered by stands in `--help`."""
    told = " ".join(look("status", "--help").stdout.split())
    for words in (Submission, Stage, WhoseMove):
        assert ", ".join(words) in told


def test_lines_for_programs_are_separated_by_tabs(look: Command) -> None:
    """Elsewhere than on a terminal each document is one line of eight cells, the heading first."""
    rows = [line.split("\t") for line in look("status").stdout.splitlines()]
    assert ["Number", "Customer", "Amount", "Our submission", "Buyer's stage", "Whose move", "Since"] == rows[0][:7]
    assert {8} == {len(row) for row in rows}


def test_a_terminal_is_told_the_summary_and_every_trouble(look: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the counts and the money come first, and each trouble says why."""
    screen = io.StringIO()
    monkeypatch.setattr(hub.cli, "Console", lambda: Console(file=screen, force_terminal=True, width=120))
    assert 0 == look("status").exit_code
    told = screen.getvalue()
    for words in ("Us: invoice data", "Held by our rules: 2", "3 open tasks", "order 4500099999 not found"):
        assert words in told


def test_explain_finds_a_number_however_it_is_typed_and_names_near_ones(look: Command) -> None:
    """Case and blanks do not matter; what is not there is answered with what is like it."""
    assert "Invoice RV-26-1004" in look("explain", " rv-26-1004 ").stdout
    unknown = look("explain", "RV-26-1O04")
    assert (1, "") == (unknown.exit_code, unknown.stdout)
    assert "no invoice has the number 'RV-26-1O04'; near ones are" in unknown.stderr
    assert "RV-26-1004" in unknown.stderr


def test_tasks_lists_what_waits_for_a_person(look: Command) -> None:
    """Each open task with its number, kind, invoice and title."""
    listed = look("tasks")
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert (0, ["Task", "Kind", "About", "Title", "Age"]) == (listed.exit_code, rows[0])
    assert ["key_in"] * 3 == [row[1] for row in rows[1:]]
    assert {"RV-26-3001", "RV-26-3002", "RV-26-3003"} == {row[2].split(",")[0] for row in rows[1:]}


def test_verify_names_each_document_that_is_damaged_or_gone(hub: Command, bench: Bench) -> None:
    """One byte changed and one file missing: both are told, and the status is 1."""
    assert 0 == hub("evidence", "verify").exit_code
    damaged, gone, *_ = sorted(path for path in (bench.folder / "store").rglob("*") if path.is_file())
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    gone.unlink()
    told = hub("evidence", "verify")
    assert 1 == told.exit_code
    assert f"{damaged} is damaged" in told.stdout
    assert f"{gone} is gone" in told.stdout


def test_nothing_an_invoice_or_a_portal_says_reaches_the_terminal_raw(bench: Bench, hub: Command) -> None:
    """Escapes, controls and marks that turn text, from a file and from a portal, are gone from every output."""
    evil = "\x1b[31mEvil\x9b2J\u202e Ltd\x07"
    invoice = json.loads((FIXTURES / "other" / "hub.json").read_text(encoding="utf-8"))
    invoice["buyer"] = {"name": evil, "identifiers": [{"value": f"9{evil}", "scheme": "DUNS"}]}
    for number in ("EV-1", f"EV-{evil}"):
        bench.put(f"{number}{evil}.json", json.dumps(invoice | {"number": number}).encode())
    bench.put(f"bad{evil}.txt", evil.encode())
    bench.network.set_status("RA-26-2004", f"Paid{evil}", buyer="AN01000000102-T")
    said = [hub("read", bench.inbox).output, hub("read", "--json", bench.inbox).output]
    for path in bench.inbox.iterdir():
        os.utime(path, (1, 1))
    ran = workbench.hub("-v", "-w", bench.folder, "run", "--once")  # a process of its own: with its log
    said += [ran.out, ran.err]
    for asked in ("status", "status --json", "tasks", "explain RA-26-2004", "explain EV-1", "evidence verify"):
        said.append(hub(*asked.split()).output)
    for asked in ("explain \x1b[31mE", "status --customer \x9b2J", "record \x1b]0;E\x07 paid", "check \x1b[31mE"):
        said.append(hub(*asked.split()).output)
    assert [] == [found[0] for words in said for found in [_UNSAFE.search(words)] if found]
    assert ["Evil" in words for words in said[:9]] == [True, True, True, True, True, True, False, True, True]


def test_no_secret_reaches_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Once a workspace is open, what it keeps secret is taken out of every line, and escapes always are."""
    with opened(bench.folder):
        logging.getLogger("connectors").error("\x1b[31mtold %s", "demo-client-secret-de")
    assert " ERROR told [secret]" in shell._LINES.format(caplog.records[-1])


def test_a_customer_list_is_imported_whole_or_not_at_all(hub: Command, bench: Bench, tmp_path: Path) -> None:
    """A good list is taken over and counted; a bad one is refused with its lines and changes nothing."""
    good = tmp_path / "good.csv"
    good.write_text("customer,name,id:duns\nhalvorsen,Halvorsen Marine Works,080555999\n", encoding="utf-8")
    taken = hub("customers", "import", good)
    assert (0, "") == (taken.exit_code, taken.stderr)
    assert "added: 1 (halvorsen)" in taken.stdout
    kept = (bench.folder / "customers.csv").read_bytes()
    bad = tmp_path / "bad.csv"
    bad.write_text("customer,name,acount\nx,Y,z\n", encoding="utf-8")
    refused = hub("customers", "import", bad)
    assert (1, "") == (refused.exit_code, refused.stdout)
    assert f"{bad}:1:3: unknown column 'acount'; did you mean 'account'?" in refused.stderr
    assert kept == (bench.folder / "customers.csv").read_bytes()
    assert "0" == re.findall(r"added: (\d)", hub("customers", "import", good).stdout)[0]


def test_a_database_that_is_none_is_told(hub: Command, bench: Bench) -> None:
    """A damaged or foreign file ends in one message that says where it is set."""
    for name in ("hub.db-wal", "hub.db-shm"):
        (bench.folder / name).unlink(missing_ok=True)
    (bench.folder / "hub.db").write_bytes(b"this is no database, whatever it is called" * 100)
    told = hub("status")
    assert (1, "", 1) == (told.exit_code, told.stdout, len(told.stderr.splitlines()))
    assert "is no SQLite database" in told.stderr


def test_rules_test_tries_every_case_and_names_the_one_that_fails(hub: Command, bench: Bench) -> None:
    """The shipped packs pass; a rule of the workspace without a case that it catches is told with its place."""
    tried = hub("rules", "test")
    assert 0 == tried.exit_code
    assert re.fullmatch(r"[1-9][0-9]* cases, 0 failed\n", tried.stdout)
    own = bench.folder / "rules" / "manual" / "oakhurst.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(
        "rules_for: {portal: manual, customer: oakhurst}\n"
        "require:\n"
        "  - {id: oakhurst.order, field: purchase_order_reference, required: true, message: An order is missing,\n"
        "     fix: ask the buyer, source: a phone call, checked_on: 2026-11-01}\n",
        encoding="utf-8",
    )
    tried = hub("rules", "test")
    assert 1 == tried.exit_code
    assert tried.stdout.startswith(f"{own}:3")
    assert "oakhurst.order" in tried.stdout
    assert tried.stdout.endswith(" 1 failed\n")
