from __future__ import annotations

import io
import re
from typing import Any

import pytest
from ledger_rows import NOW, Rows, every_state_and_stage, lanes
from rich.cells import cell_len
from rich.console import Console
from working_day import NAMES

from hub.contract.status import Submission
from hub.printing import print_explanations, print_status, print_tasks
from hub.store.database import Database
from hub.view import Filters, Names, Outcome, Page, explain_document, invoices, open_tasks, summary
from hub.view.wording import FAILED_TO_SEND, MARKS, STAGES, SUBMISSIONS, disarmed

OURS = re.compile(r"\x1b\[[0-9;]*m")  # the styles that we put there


def terminal(width: int = 100) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, force_terminal=True, color_system="standard", legacy_windows=False), out


def pipe() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=40), out


def status(day: Any, console: Console) -> None:
    page = invoices(day.db, Filters(), now=NOW)
    print_status(console, page, names=NAMES, now=NOW, summary=summary(day.db))


@pytest.mark.parametrize("width", [100, 80])
def test_the_table_fits_the_terminal(day: Any, width: int) -> None:
    """No line is wider, even with long names, large amounts and other scripts."""
    console, out = terminal(width)
    status(day, console)
    assert max(cell_len(OURS.sub("", line)) for line in out.getvalue().splitlines()) <= width
    assert "Liability" not in out.getvalue()  # a long name is cut off there; `explain` has the whole


def test_a_pipe_gets_one_line_for_each_document(day: Any) -> None:
    """Separated by tabs, with nothing cut off, wrapped or coloured."""
    console, out = pipe()
    status(day, console)
    lines = [line.split("\t") for line in out.getvalue().splitlines()]
    assert {8} == {len(cells) for cells in lines}
    assert len(lines) == len(day.ids) + 1
    assert [
        "INV-20861",
        "Acme Holding",
        "1,210.00 EUR",
        "✕ Refused by the portal",
        "—",
        "Us: invoice data",
        "5 h",
        "5 h",
    ] in lines


def test_every_state_and_stage_is_printed_as_it_is(db: Database) -> None:
    """Each pair in plain English, in two columns, and no stage where none was heard."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        documents = every_state_and_stage(rows)
    console, out = pipe()
    page = invoices(db, Filters(), now=NOW, limit=1000)
    print_status(console, page, names=Names(), now=NOW)
    shown = [tuple(line.split("\t")[3:5]) for line in out.getvalue().splitlines()[1:]]
    marks = "".join(f"{mark} |" for mark in MARKS.values()).replace("?", r"\?")
    bare = [tuple(re.sub(f"^({marks})", "", cell) for cell in cells) for cells in shown]
    assert [(SUBMISSIONS[state], STAGES[stage]) for state, stage in reversed(documents)] == bare


def test_trouble_is_told_without_colour(day: Any) -> None:
    """Each of the five has its own mark and words, and stands in the column of whoever said it."""
    console, out = pipe()
    status(day, console)
    cells = {line.split("\t")[0]: line.split("\t")[3:5] for line in out.getvalue().splitlines()}
    assert ["■ Held by our rules", "—"] == cells["INV-20877"]
    assert [f"↻ {FAILED_TO_SEND}", "—"] == cells["INV-20880"]
    assert ["✕ Refused by the portal", "—"] == cells["INV-20861"]
    assert ["Taken in by the portal", "⚑ Rejected by the buyer"] == cells["INV-20802"]
    assert ["? In doubt: may have arrived", "—"] == cells["SV-3288"]
    assert ["Taken in by the portal", "? Unknown"] == cells["INV-20740"]
    assert len(Outcome) == len(set(MARKS.values()))
    assert SUBMISSIONS[Submission.READY] != FAILED_TO_SEND


def test_nothing_of_a_portals_words_reaches_the_terminal(day: Any) -> None:
    """Escapes and controls are gone, and markup is text; on a terminal and in a pipe."""
    for make in (terminal, pipe):
        console, out = make()
        status(day, console)
        told = explain_document(day.db, day.blobs, day.ids["hostile"], now=NOW)
        print_explanations(console, [told], names=NAMES, now=NOW)
        print_tasks(console, open_tasks(day.db), names=NAMES, now=NOW)
        text = OURS.sub("", out.getvalue()) if make is terminal else out.getvalue()
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
        assert "[bold]markup[/bold]" in " ".join(text.split())
        assert "\x1b[31mred" not in out.getvalue()


def test_an_explanation_reads_as_a_story(day: Any) -> None:
    """How it stands and what to do come first, then why, facts, documents and what happened."""
    console, out = pipe()
    told = explain_document(day.db, day.blobs, day.ids["refused"], now=NOW)
    print_explanations(console, [told], names=NAMES, now=NOW)
    text = out.getvalue()
    assert text.splitlines()[:4] == [
        "Invoice INV-20861  Acme Holding, 1,210.00 EUR",
        "✕ Refused by the portal. Since 2031-03-14 04:30:00 UTC (5 h).",
        "Why: PO line 20 is not known (supplier_line_mismatch, INV-07)",
        "Next: Correct the invoice in the ERP and send it again under the same number.  (Us: invoice data)",
    ]
    parts = ["\nFacts\n", "\nPrepared and sent\n", "\nAttempts\n", "\nWhat happened\n"]
    assert sorted(text.index(part) for part in parts) == [text.index(part) for part in parts]
    assert f"100 bytes  delivered  sha256:{told.files[0].sha256}" in text


def test_findings_are_printed_with_file_and_line(day: Any) -> None:
    """A clerk sees what to mend, an analyst where the rule stands."""
    console, out = pipe()
    told = explain_document(day.db, day.blobs, day.ids["held"], now=NOW)
    print_explanations(console, [told], names=NAMES, now=NOW)
    assert "  blocks  the purchase order is missing  [po_required]" in out.getvalue().splitlines()
    assert "          rules/ariba/acme.yaml:12" in out.getvalue().splitlines()


def test_tasks_say_what_to_do_line_by_line(day: Any) -> None:
    """Each line of an action stays a line, with the invoice that it is about."""
    console, out = terminal()
    print_tasks(console, open_tasks(day.db), names=NAMES, now=NOW)
    lines = [line.strip() for line in OURS.sub("", out.getvalue()).splitlines()]
    start = lines.index("INV-20790, Cedar Foods; until 2031-03-17 09:30:00 UTC")
    assert ["Open the portal.", "Key the invoice in.", "Enter its confirmation here."] == lines[start + 1 : start + 4]


def test_what_stands_still_and_what_nobody_knows_is_said_first(day: Any) -> None:
    """Beside the worklist and beside the tasks, with the next step."""
    for show in (
        lambda console: status(day, console),
        lambda console: print_tasks(console, (), names=NAMES, now=NOW, summary=summary(day.db)),
    ):
        console, out = terminal()
        show(console)
        said = OURS.sub("", out.getvalue())
        assert said.startswith("openfield is paused: the portal does not accept the password (since 1 d)\n")
        assert "2 events are of documents that nobody here surely knows: `hub reconcile` lists them\n" in said
    assert "hub arm" in disarmed("the database was restored.")
    assert "moved; run `hub arm`" == disarmed("moved; run `hub arm`")


def test_nothing_to_show_is_said() -> None:
    """An empty list is a sentence, not an empty screen."""
    console, out = terminal()
    print_status(console, Page((), None), names=NAMES, now=NOW)
    print_tasks(console, (), names=NAMES, now=NOW)
    assert ["No invoice matches.", "No task waits for a person."] == out.getvalue().splitlines()
