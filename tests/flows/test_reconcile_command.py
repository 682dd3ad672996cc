"""`hub reconcile` against the simulated network: what each side has that the other does not."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from workbench import Bench, command, make_bench, service, until

from hub.store import tables as t


def reconcile(bench: Bench, *words: str) -> Result:
    """The command in a workspace."""
    return command("-w", bench.folder, "reconcile", *words)


def looked(bench: Bench, *words: str) -> tuple[int, list[tuple[str, str]], list[dict[str, Any]]]:
    """Exit status, invoice and outcome of each look, and what is unknown here."""
    ran = reconcile(bench, *words, "--json")
    told = json.loads(ran.stdout)
    return ran.exit_code, [(one["number"], one["outcome"]) for one in told["looked"]], told["unknown_here"]


@pytest.fixture
def sent(bench: Bench) -> Bench:
    """SV-1 and SV-2 are at the portal, and long enough for its search to know."""
    for number in ("SV-1", "SV-2"):
        bench.put(f"{number}.xml", service(number))
    bench.work()
    assert {"SV-1": "sent", "SV-2": "sent"} == bench.states()
    with bench.open() as ws, ws.db.writing("test") as tx:
        for column in ("last_attempt_at", "sent_at"):
            earlier = ws.now().replace(year=ws.now().year - 1)
            tx.execute(t.submission.update().values({column: earlier}))
    return bench


def test_what_agrees_is_counted_and_nothing_is_sent(sent: Bench) -> None:
    """The whole workspace, one invoice, one account, one connection: exit status 0, and no submit."""
    submits = len(sent.network.requests("submit"))
    account, connection = sent.row("SV-1").account or "", sent.row("SV-1").connection or ""
    whole = reconcile(sent)
    assert (0, "2 looked for (agrees: 2)\n") == (whole.exit_code, whole.stdout)
    assert (0, [("SV-1", "agrees")], []) == looked(sent, "sv-1")
    assert (0, [("SV-1", "agrees"), ("SV-2", "agrees")], []) == looked(sent, f"account:{account}")
    assert (0, [("SV-1", "agrees"), ("SV-2", "agrees")], []) == looked(sent, f"connection:{connection}")
    assert submits == len(sent.network.requests("submit"))


def test_what_the_portal_lost_is_missing_there(sent: Bench) -> None:
    """It is a person's to look for; the table says so, and so does the list of tasks."""
    sent.network.reset()
    ran = reconcile(sent)
    assert 1 == ran.exit_code
    lines = [line.split("\t")[:2] for line in ran.stdout.splitlines()]
    assert [["What", "Invoice"], ["missing there", "SV-1"], ["missing there", "SV-2"]] == lines[:3]
    assert {"SV-1": "needs_human", "SV-2": "needs_human"} == sent.states()
    assert "Is invoice SV-1 at the portal?" in command("-w", sent.folder, "tasks").stdout


def test_another_amount_there_is_told_with_both(sent: Bench) -> None:
    """The ledger says one thing and the portal another; which is true is a person's to decide."""
    with sent.open() as ws, ws.db.writing("test") as tx:
        first = sa.select(t.revision.c.id).order_by(t.revision.c.id).limit(1).scalar_subquery()
        tx.execute(t.revision.update().where(t.revision.c.id == first).values(total=Decimal("99.00")))
    ran = reconcile(sent, "SV-1")
    assert 1 == ran.exit_code
    assert "99.00 EUR" in ran.stdout
    assert "What is true of invoice SV-1?" in command("-w", sent.folder, "tasks").stdout
    assert (1, [("SV-1", "differs"), ("SV-2", "agrees")], []) == looked(sent)


def test_a_document_that_nobody_here_sent_is_unknown_here(sent: Bench, tmp_path: Path) -> None:
    """Another system of ours sent it through the same login: the connection's statuses tell of it."""
    other = make_bench(tmp_path / "other", sent.network)
    other.put("stranger.xml", service("SV-9"))
    other.work()
    connection = sent.row("SV-1").connection or ""
    status, looks, unknown = looked(sent, connection)
    assert (1, 2) == (status, len(looks))
    assert [("SV-9", connection, False)] == [(one["number"], one["connection"], one["ours"]) for one in unknown]
    assert "unknown here\tSV-9" in reconcile(sent).stdout
    assert 0 == reconcile(sent, "SV-1").exit_code


def test_what_the_portal_commits_late_is_found_and_blocks_a_correction(bench: Bench) -> None:
    """Lost, found absent, taken back; then the network keeps it after all."""
    bench.network.fault("late_commit", verb="submit", seconds=4)
    bench.put("one.xml", service("SV-1"))
    bench.work()
    assert {"SV-1": "in_doubt"} == bench.states()
    until(lambda: [("SV-1", "missing")] == looked(bench, "SV-1")[1])
    assert 0 == command("-w", bench.folder, "withdraw", "SV-1", "--why", "not needed").exit_code
    until(lambda: bench.at_portal("SV-1"))
    until(lambda: [("SV-1", "differs")] == looked(bench, "SV-1")[1])
    assert "arrived after all" in command("-w", bench.folder, "tasks").stdout
    bench.put("two.xml", service("SV-1", buyer_reference="another"))
    bench.work()
    assert ({"SV-1": "withdrawn"}, 1) == (bench.states(), len(bench.at_portal("SV-1")))


def test_a_portal_that_does_not_answer_is_asked_no_further(sent: Bench) -> None:
    """Nothing is known by it, nothing changes, and the exit status says so."""
    sent.network.fault("refuse")
    try:
        status, looks, unknown = looked(sent)
    finally:
        sent.network.clear_faults()
    assert (1, [("SV-1", "could_not_ask"), ("SV-2", "could_not_ask")], []) == (status, looks, unknown)
    assert {"SV-1": "sent", "SV-2": "sent"} == sent.states()
