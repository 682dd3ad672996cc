"""`hub reconcile` as people meet it: what a word means, what is told, and what is not asked."""

from __future__ import annotations

import io
import json
import signal
from collections import Counter

import sqlalchemy as sa
from rich.console import Console
from workbench import Bench, Command, Running, service
from workbench import hub as process

from hub import auditing
from hub.delivery import ledger
from hub.delivery.audit import Looked, Outcome
from hub.engine import work
from hub.store import tables as t


def finds(bench: Bench) -> int:
    return len(bench.network.requests("find"))


def test_a_word_that_means_nothing_is_an_error_that_says_what_there_is(look: Command) -> None:
    """With the word that was perhaps meant."""
    ran = look("reconcile", "ariba-dee")
    assert (1, "") == (ran.exit_code, ran.stdout)
    for told in (
        "'ariba-dee' is no invoice, account or connection; did you mean",
        "ariba-de",
        "Accounts:",
        "hub status",
    ):
        assert told in ran.stderr


def test_a_word_that_names_two_things_is_an_error_that_tells_them_apart(hub: Command, bench: Bench) -> None:
    """An invoice that is numbered like a connection is called."""
    with bench.open() as ws:
        key = next(key for key, one in ws.config.connections.items() if one.connector == "ariba")
        with ws.db.writing("test") as tx:
            first = sa.select(sa.func.min(t.document.c.id)).scalar_subquery()
            tx.execute(t.document.update().where(t.document.c.id == first).values(number=key, number_key=key))
    ran = hub("reconcile", key)
    assert 1 == ran.exit_code
    assert f"say invoice:{key} or connection:{key}" in ran.stderr
    looked = json.loads(hub("reconcile", f"invoice:{key}", "--json").stdout)["looked"]
    assert [key] == [one["number"] for one in looked]


def test_what_cannot_be_looked_up_is_said_and_is_no_difference(look: Command, day: Bench) -> None:
    """Portals that people key into have no lookup."""
    with day.open() as ws:
        manual = {key for key, one in ws.config.connections.items() if one.connector == "manual"}
    by_hand = next(number for number, row in day.rows().items() if row.connection in manual)
    before = finds(day)
    ran = look("reconcile", by_hand)
    assert (0, "no lookup") == (ran.exit_code, ran.stdout.splitlines()[1].split("\t")[0])
    assert before == finds(day)


def test_a_paused_connection_is_not_asked(hub: Command, bench: Bench) -> None:
    """It stands still because of its login, perhaps, and each try counts; the way on is told."""
    with bench.open() as ws, ws.db.writing("test") as tx:
        for key in ws.config.connections:
            ledger.pause(tx, t.connection, key, at=ws.now(), actor="hub", why="wrong password")
    before = len(bench.network.requests())
    ran = hub("reconcile")
    assert 1 == ran.exit_code
    assert "is paused: wrong password; `hub check" in ran.stdout
    assert before == len(bench.network.requests())


def test_a_portal_that_does_not_answer_is_tried_three_times(hub: Command, bench: Bench) -> None:
    """The rest of its invoices is told as not asked."""
    bench.network.fault("drop_before_commit", verb="find", times=None)
    try:
        looked = json.loads(hub("reconcile", "--json").stdout)["looked"]
    finally:
        bench.network.clear_faults()
    not_asked = [one for one in looked if "did not answer the last 3 times" in one["words"]]
    assert {"could_not_ask"} == {one["outcome"] for one in not_asked}
    asked = Counter(one["connection"] for one in looked if one["words"].startswith("the portal could not be asked"))
    assert {3} == set(asked.values())
    assert not_asked


def test_it_works_beside_a_hub_that_runs(bench: Bench) -> None:
    """Another process, the same workspace: both go on."""
    bench.arm()
    with Running("-w", bench.folder, "run") as running:
        running.wait_for("running")
        ran = process("-w", bench.folder, "reconcile")
        assert 0 == running.end(signal.SIGTERM)
    assert "looked for" in ran.out.splitlines()[-1], ran


def test_a_person_at_a_terminal_sees_a_table_that_no_word_of_a_portal_can_break() -> None:
    """Differences first; what agrees is a number."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    looked = [
        Looked(1, "A-1", "acme", Outcome.AGREES, "the portal has it"),
        Looked(2, "A-2", "acme", Outcome.COULD_NOT_ASK, "the portal could not be asked: \x1b[31m[bold]no[/bold]"),
        Looked(3, "A-3", "acme", Outcome.MISSING, "the portal does not show it"),
    ]
    auditing._print(console, looked, [], {"acme": "the login page has changed"})
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]
    assert lines[2].startswith("missing there  A-3")
    assert lines[3].startswith("could not ask  A-2")
    assert lines[3].endswith("[bold]no[/bold]")
    assert lines[4].startswith("could not ask  statuses")
    assert "3 looked for (missing there: 1, could not ask: 1, agrees: 1)" == lines[-2]
    assert "hub tasks" in lines[-1]


def test_what_has_no_account_yet_is_said(hub: Command, bench: Bench) -> None:
    """It came in, and nobody has routed it."""
    bench.put("one.xml", service("SV-1"))
    with bench.open() as ws:
        list(work.scan(ws, "inbox", quiet=0))
    ran = hub("reconcile", "SV-1")
    assert (0, True) == (ran.exit_code, "it has no account yet" in ran.stdout)
