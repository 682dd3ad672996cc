"""The commands by which people say something: answers, statuses, withdrawals, repeats; right ones and wrong ones."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from workbench import FIXTURES, Bench, Command, service

from hub.store import tables as t

KEYED = "RV-26-3001"  # waits to be keyed into the hospital's site


def _task(hub: Command, number: str) -> str:
    """The number of the open task of an invoice."""
    return next(line.split("\t")[0] for line in hub("tasks").stdout.splitlines() if number in line)


def _stands(hub: Command, number: str) -> tuple[Any, ...]:
    (row,) = json.loads(hub("status", "--json", "--text", number).stdout)
    return row["submission"], row["stage"], row["portal_reference"]


def _keyed(hub: Command, number: str = KEYED, reference: str = "ORH-1") -> None:
    assert 0 == hub("tasks", "answer", _task(hub, number), "--sent", "--reference", reference).exit_code


# Answers


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (("--sent", "--reference", "ORH-1"), ("accepted", None, "ORH-1")),
        (("--refused", "--words", "order closed"), ("refused", None, None)),
        (("--withdraw",), ("withdrawn", None, None)),
        (("--not-there",), ("needs_human", None, None)),  # it goes once more, to a new task
    ],
    ids=lambda value: value[0],
)
def test_each_answer_closes_its_task_and_moves_the_invoice(
    hub: Command, answer: tuple[str, ...], state: tuple[Any, ...]
) -> None:
    """What a person says of a task happens, once; the same task cannot be answered again."""
    task = _task(hub, KEYED)
    said = hub("tasks", "answer", task, *answer, "--by", "Ada")
    assert (0, f"task {task}: {answer[0][2:]}\n", "") == (said.exit_code, said.stdout, said.stderr)
    hub("run", "--once")
    assert state == _stands(hub, KEYED)
    assert "person:Ada" in hub("explain", KEYED).stdout
    twice = hub("tasks", "answer", task, *answer)
    assert (1, True) == (twice.exit_code, f"no task {task} waits" in twice.stderr)


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (("--sent",), 1, "enter it with --reference"),
        (("--refused",), 1, "give its words with --words"),
        (("--done",), 1, "say --sent, --not-there, --refused or --withdraw"),
        ((), 2, "say one thing that is true"),
        (("--sent", "--refused", "--words", "x"), 2, "say one thing that is true"),
        (("--withdraw", "--by", " "), 2, "nobody is named"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_answer_changes_nothing(hub: Command, answer: tuple[str, ...], status: int, told: str) -> None:
    """What does not fit is refused with what would, and the task still waits."""
    task = _task(hub, KEYED)
    wrong = hub("tasks", "answer", task, *answer)
    assert (status, "", True) == (wrong.exit_code, wrong.stdout, told in wrong.stderr), wrong.stderr
    assert (task, ("needs_human", None, None)) == (_task(hub, KEYED), _stands(hub, KEYED))


def test_an_unknown_task_is_told(hub: Command) -> None:
    """A number that is no open task's is answered with where to look."""
    wrong = hub("tasks", "answer", "999", "--done")
    assert (1, "hub: no task 999 waits for an answer; `hub tasks` lists those that do\n") == (
        wrong.exit_code,
        wrong.stderr,
    )


# Statuses


def test_a_typed_status_is_what_is_shown(hub: Command) -> None:
    """Stage, reason and day as a person gave them; who said so is kept."""
    _keyed(hub)
    said = hub(
        "record", KEYED.lower(), "rejected", "--reason", "wrong cost centre", "--on", "2026-11-20", "--by", "Ada"
    )
    assert (0, f"{KEYED.lower()}: rejected\n", "") == (said.exit_code, said.stdout, said.stderr)
    assert ("accepted", "rejected", "ORH-1") == _stands(hub, KEYED)
    told = hub("explain", KEYED).stdout
    assert "wrong cost centre" in told
    assert "person:Ada" in told


def test_what_happened_today_has_not_happened_later_than_now(bench: Bench, hub: Command) -> None:
    """Today's date, and tomorrow's where it has begun already, make nothing that lies ahead."""
    _keyed(hub)
    for stage, day in (("approved", bench.clock().date()), ("paid", (bench.clock() + dt.timedelta(hours=13)).date())):
        assert 0 == hub("record", KEYED, stage, "--on", str(day)).exit_code
        assert (stage, True) == (bench.row(KEYED).stage, bench.row(KEYED).since <= bench.clock())


def test_an_older_word_is_kept_and_does_not_overrule(hub: Command) -> None:
    """Typed in late, what happened before the last known thing moves nothing, and the command says so."""
    _keyed(hub)
    hub("record", KEYED, "paid", "--on", "2026-11-20")
    late = hub("record", KEYED, "approved", "--on", "2026-11-10")
    assert (0, f"{KEYED}: approved was noted, but it stands as paid\n") == (late.exit_code, late.stdout)
    assert "paid" == _stands(hub, KEYED)[1]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ((KEYED, "paid"), 1, "its portal does not have it"),
        (("RV-26-9999", "paid"), 1, "there is no document RV-26-9999; see `hub status`"),
        (("RV-26-1002", "paid", "--customer", "meridian"), 1, "there is no document RV-26-1002, customer meridian"),
        (("RV-26-1002", "paid", "--on", "2199-01-01"), 1, "2199-01-01 lies ahead"),
        (("RV-26-1002", "payed"), 2, "'payed' is not one of"),
        (("RV-26-1002", "unknown"), 2, "'unknown' is not one of"),
        (("RV-26-1002", "paid", "--on", "yesterday"), 2, "does not match the format"),
        (("RV-26-1002",), 2, "name a NUMBER and a STAGE, or --csv FILE"),
        ((), 2, "name a NUMBER and a STAGE, or --csv FILE"),
        (("RV-26-1002", "paid", "--csv", "x.csv"), 2, "everything else stands in the file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_status_that_cannot_be_is_refused(look: Command, arguments: tuple[str, ...], status: int, told: str) -> None:
    """Nothing is recorded of what is not there, not sent, not yet or not known."""
    wrong = look("record", *arguments)
    assert (status, "", True) == (wrong.exit_code, wrong.stdout, told in wrong.stderr), wrong.stderr


def test_two_documents_with_one_number_are_told_apart(bench: Bench, hub: Command) -> None:
    """An invoice and a credit may share a number: the command asks which, and takes the kind."""
    credit = (FIXTURES / "RA-26-2003.xml").read_bytes().replace(b"RA-26-2003", b"RA-26-2001")
    bench.put(
        "credit.xml", credit.replace(b"<ram:IssuerAssignedID>RA-26-2001</ram", b"<ram:IssuerAssignedID>RA-26-2004</ram")
    )
    bench.work()
    which = hub("record", "RA-26-2001", "paid")
    assert 1 == which.exit_code
    assert "RA-26-2001 is more than one document" in which.stderr
    assert "kind credit" in which.stderr
    assert 0 == hub("record", "RA-26-2001", "paid", "--kind", "invoice").exit_code
    stages = {row["kind"]: row["stage"] for row in json.loads(hub("status", "--json", "--text", "RA-26-2001").stdout)}
    assert {"invoice": "paid", "credit": None} == stages


def _csv(folder: Path, text: str) -> Path:
    (folder / "said.csv").write_text(text, encoding="utf-8")
    return folder / "said.csv"


def test_a_csv_of_statuses_is_taken_once(hub: Command, tmp_path: Path) -> None:
    """With a day or without, with commas or semicolons: the first import is new, the same file again is known."""
    _keyed(hub)
    _keyed(hub, "RV-26-3002", "ORH-2")
    file = _csv(
        tmp_path,
        "\ufeffNumber;Stage;Reason;On\nRV-26-3001;approved;;\nRV-26-3001;paid;;\n;;;\n"
        'rv-26-3002;disputed;"four, not five";2026-11-12\n',
    )
    first = hub("record", "--csv", file)
    assert (0, "3 recorded, 0 known already\n", "") == (first.exit_code, first.stdout, first.stderr)
    stood = [_stands(hub, number) for number in ("RV-26-3001", "RV-26-3002")]
    assert [("accepted", "paid", "ORH-1"), ("accepted", "disputed", "ORH-2")] == stood
    assert "four, not five" in hub("explain", "RV-26-3002").stdout
    again = hub("record", "--csv", file)
    assert (0, "0 recorded, 3 known already\n") == (again.exit_code, again.stdout)
    assert stood == [_stands(hub, number) for number in ("RV-26-3001", "RV-26-3002")]


def test_a_csv_with_errors_names_each_at_its_line_and_takes_nothing(bench: Bench, hub: Command, tmp_path: Path) -> None:
    """Every row is judged; one that is wrong keeps the good ones out, so that the mended file can be sent again."""
    _keyed(hub)
    file = _csv(
        tmp_path,
        "number,stage,on,kind\nRV-26-3001,approved,,\nRV-26-8888,paid,,\nRV-26-3002,paid,,\n,paid,,\n"
        "RV-26-3001,payed,,\nRV-26-3001,paid,11/12/2026,\nRV-26-3001,paid,2199-01-01,\nRV-26-3001,paid\n"
        "RV-26-3001,paid,,invoise\n",
    )
    with bench.open() as ws, ws.db.reading() as tx:
        before = tx.execute(sa.select(sa.func.count()).select_from(t.event)).scalar_one()
    wrong = hub("record", "--csv", file)
    assert (1, "") == (wrong.exit_code, wrong.stdout)
    told = dict(re.findall(rf"{re.escape(str(file))}:(\d+):1: (.*)", wrong.stderr))
    expected = {
        "3": "there is no document RV-26-8888",
        "4": "its portal does not have it",
        "5": "the number is missing",
        "6": "unknown stage 'payed'; did you mean 'paid'?",
        "7": "'11/12/2026' is no day; write it as 2026-11-23",
        "8": "2199-01-01 lies ahead",
        "9": "has 2 cells, but the header 4",
        "10": "unknown kind 'invoise'; did you mean 'invoice'?",
    }
    assert set(expected) == set(told)
    assert [] == [(line, told[line]) for line, words in expected.items() if words not in told[line]]
    with bench.open() as ws, ws.db.reading() as tx:
        assert before == tx.execute(sa.select(sa.func.count()).select_from(t.event)).scalar_one()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"number,state\nx,paid\n", ":1:1: unknown column 'state'; did you mean 'stage'?"),
        (b"number,stage,stage\nx,paid,paid\n", ":1:1: the column 'stage' stands here twice"),
        (b"", ":1:1: the column 'number' is missing"),
        (b"number,stage\n\xe4,paid\n", ":2:1: is not UTF-8"),
        (b'number,stage\n"x,paid\ny,paid\n', ":2:1: is not CSV"),
        (b"number,stage\n" + b"x" * 5_000_001, ":1:1: larger than 5,000,000 bytes"),
        (None, ":1:1: cannot be read: No such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_no_such_csv_is_refused(look: Command, tmp_path: Path, content: bytes | None, told: str) -> None:
    """A header that is wrong, another encoding, a quote that never ends, too much, or nothing at all."""
    file = tmp_path / "said.csv"
    if content is not None:
        file.write_bytes(content)
    wrong = look("record", "--csv", file)
    assert (1, "", True) == (wrong.exit_code, wrong.stdout, f"{file}{told}" in wrong.stderr), wrong.stderr


# Taking back and sending once more


def test_what_was_not_delivered_can_be_taken_back_and_sent_once_more(bench: Bench, hub: Command) -> None:
    """A withdrawn invoice leaves no task behind; `again` brings the same content back as a new revision."""
    taken = hub("withdraw", KEYED, "--why", "billed twice")
    assert (0, f"{KEYED}: withdrawn\n", "") == (taken.exit_code, taken.stdout, taken.stderr)
    assert "withdrawn" == _stands(hub, KEYED)[0]
    assert KEYED not in hub("tasks").stdout, "nobody shall key in what was withdrawn"
    hub("run", "--once")
    assert "withdrawn" == _stands(hub, KEYED)[0]
    once_more = hub("again", KEYED, "--why", "it was not")
    assert (0, f"{KEYED}: goes once more\n") == (once_more.exit_code, once_more.stdout)
    hub("run", "--once")
    assert ("needs_human", 2) == (_stands(hub, KEYED)[0], bench.row(KEYED).revision)
    assert KEYED in hub("tasks").stdout


def test_a_refused_invoice_goes_once_more_after_its_cause_is_mended(bench: Bench, hub: Command) -> None:
    """The same content, a new revision, a new attempt at the portal."""
    bench.put("one.xml", service("SV-77"))
    bench.work()
    bench.network.fail("SV-77", "INV-98")
    bench.work()
    assert "refused" == _stands(hub, "SV-77")[0]
    assert 0 == hub("again", "SV-77", "--why", "the buyer mended its master data").exit_code
    bench.work()
    assert 2 == bench.row("SV-77").revision
    assert 2 == len([entry for entry in bench.network.requests("submit") if entry["number"] == "SV-77"])


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("withdraw", "RV-26-1001", "--why", "x"), 1, "only what was not delivered can be withdrawn"),
        (("withdraw", "RV-26-1001"), 2, "Missing option '--why'"),
        (("withdraw", "RV-26-9999", "--why", "x"), 1, "there is no document RV-26-9999"),
        (("again", "RV-26-1001", "--why", "x"), 1, "only what was refused or withdrawn goes once more"),
        (("again", "RV-26-9999", "--why", "x"), 1, "there is no document RV-26-9999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_too_late_is_refused(look: Command, arguments: tuple[str, ...], status: int, told: str) -> None:
    """What the portal has is not taken back by a word of ours, nor sent again."""
    wrong = look(*arguments)
    assert (status, "", True) == (wrong.exit_code, wrong.stdout, told in wrong.stderr), wrong.stderr


def test_whoever_has_no_name_on_this_machine_is_asked_for_one(look: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without users, `--by` is needed, and the message says so."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    asked = look("withdraw", "RV-26-1001", "--why", "x")
    assert (2, True) == (asked.exit_code, "'--by': nobody is named" in asked.stderr)
