"""The commands that work: run, check, serve; and how the command line behaves when something is in its way."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

import pytest
from workbench import HUB, Bench, Command, Running, elbow, hub, make_bench, service, until

from hub import shell
from hub.simulators.client import Simulator


@pytest.fixture
def fresh(portals: Simulator, tmp_path: Path) -> Bench:
    """A workspace that has done nothing yet."""
    return make_bench(tmp_path / "fresh", portals)


def _age(bench: Bench) -> None:
    """Let what lies in the inbox be old enough to be taken."""
    for path in bench.inbox.iterdir():
        os.utime(path, (1, 1))


def test_run_once_does_one_pass_and_shows_where_things_stand(fresh: Bench, anywhere: Command) -> None:
    """Files are taken, checked, sent; then the list. What is still being written is left for the next pass."""
    fresh.put("one.xml", service("SV-1"))
    _age(fresh)
    fresh.put("young.xml", service("SV-2"))
    ran = anywhere("-w", fresh.folder, "run", "--once")
    assert (0, "") == (ran.exit_code, ran.stderr)
    rows = [line.split("\t") for line in ran.stdout.splitlines()]
    assert [["SV-1", "Sent, not yet taken in"]] == [[row[0], row[3]] for row in rows[1:]]
    assert ["young.xml"] == [path.name for path in fresh.inbox.iterdir()]


def test_hub_run_works_until_it_is_told_to_stop(fresh: Bench, anywhere: Command) -> None:
    """The real thing: a file that is dropped while it runs is sent; SIGTERM ends it with 0; a second one is refused."""
    with Running("-w", fresh.folder, "run") as running:
        running.wait_for("running; Ctrl-C ends it")
        fresh.put("part.part", service("SV-RUN"))
        os.utime(fresh.inbox / "part.part", (1, 1))
        (fresh.inbox / "part.part").rename(fresh.inbox / "one.xml")
        second = anywhere("-w", fresh.folder, "run", "--once")
        assert (1, "") == (second.exit_code, second.stdout)
        assert f"another hub (process {running.process.pid}) works" in second.stderr
        until(lambda: fresh.at_portal("SV-RUN"))
        assert 0 == running.end(signal.SIGTERM), running.lines
        assert ["running; Ctrl-C ends it\n"] == running.lines
    assert {"SV-RUN": "sent"} == fresh.states()


def test_check_proves_what_it_can_and_says_what_it_cannot(fresh: Bench, anywhere: Command) -> None:
    """Each connection with what was proved and what was not; nothing is changed at the portal."""
    before = len(fresh.network.documents())
    told = anywhere("-w", fresh.folder, "check")
    assert (0, "") == (told.exit_code, told.stderr)
    for words in (
        "ariba-us: proved: the network knows AN01000000201-T and its credentials (test)",
        "ariba-de: proved: the REST client may read the list of invoices",
        "ariba-de: not proved: that a customer is linked with this account",
        "oakhurst-site: not proved: Oakhurst supplier site is used by people",
    ):
        assert words in told.stdout
    assert before == len(fresh.network.documents())
    one = anywhere("-w", fresh.folder, "check", "ariba-de")
    assert (0, {"ariba-de"}) == (one.exit_code, {line.partition(":")[0] for line in one.stdout.splitlines()})
    unknown = anywhere("-w", fresh.folder, "check", "ariba-uk")
    assert (1, "") == (unknown.exit_code, unknown.stdout)
    assert "hub: hub.yaml has no connection 'ariba-uk'; did you mean 'ariba-" in unknown.stderr
    fresh.network.fault("refuse")
    away = anywhere("-w", fresh.folder, "check", "ariba-us")
    fresh.network.clear_faults()
    assert (1, "") == (away.exit_code, away.stderr)
    assert re.fullmatch(
        r"ariba-us: failed: check at 127.*: no connection \(.*refused\); nothing was sent\n", away.stdout
    )


def test_a_wrong_secret_stops_its_connection_until_check_finds_it_mended(fresh: Bench, anywhere: Command) -> None:
    """The others go on and it is said what stands still; `check` fails; once mended it resumes, and all goes out."""
    secret = fresh.folder / "secrets" / "shared-us"
    right = secret.read_text(encoding="utf-8")
    secret.write_text("not-the-secret", encoding="utf-8")
    fresh.put("us.xml", elbow("EL-CHECK"))
    fresh.put("de.xml", service("SV-CHECK"))
    _age(fresh)
    ran = anywhere("-w", fresh.folder, "run", "--once")
    assert {"EL-CHECK": "ready", "SV-CHECK": "sent"} == fresh.states()
    assert (0, 1) == (ran.exit_code, len(ran.stderr.splitlines()))
    assert re.match(r"hub: ariba-us is paused: submit: 401 .+", ran.stderr)
    failed = anywhere("-w", fresh.folder, "check")
    assert 1 == failed.exit_code
    assert re.search(r"^ariba-us: failed: check: 401 ", failed.stdout, re.MULTILINE)
    assert "ariba-de: proved" in failed.stdout
    assert "not-the-secret" not in failed.output + ran.output
    assert fresh.lane("ariba-us").paused_at is not None
    secret.write_text(right, encoding="utf-8")
    mended = anywhere("-w", fresh.folder, "check", "ariba-us", "--by", "Ada")
    assert (0, True) == (mended.exit_code, "ariba-us: connection ariba-us goes on\n" in mended.stdout)
    anywhere("-w", fresh.folder, "run", "--once")
    assert {"EL-CHECK": "sent", "SV-CHECK": "sent"} == fresh.states()
    assert 1 == len(fresh.at_portal("EL-CHECK"))


def test_what_hub_yaml_pauses_no_check_resumes(fresh: Bench, anywhere: Command) -> None:
    """`paused: true` is a person's word; only taking it out again lets the connection go on."""
    fresh.change("    connector: ariba\n", "    connector: ariba\n    paused: true\n")
    fresh.put("one.xml", service("SV-PAUSED"))
    _age(fresh)
    assert "ariba-de is paused" in anywhere("-w", fresh.folder, "run", "--once").stderr
    checked = anywhere("-w", fresh.folder, "check")
    assert (0, False) == (checked.exit_code, "goes on" in checked.stdout)
    anywhere("-w", fresh.folder, "run", "--once")
    assert {"SV-PAUSED": "ready"} == fresh.states()


def test_serve_shows_the_page_until_sigint_and_says_if_the_port_is_taken(day: Bench, look: Command) -> None:
    """The page and its JSON answer; the address in use is named with what to do; Ctrl-C ends it with 0."""
    with Running("-w", day.folder, "serve", "--port", "0") as served:
        url = served.wait_for(r"The page: (http://127\.0\.0\.1:(\d+)/)")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{url[1]}api/v1/invoices", timeout=10) as reply:
            assert 14 == len(json.load(reply)["invoices"])
        taken = look("serve", "--port", url[2])
        assert (1, "") == (taken.exit_code, taken.stdout)
        told = f"the page cannot be served at 127.0.0.1, port {url[2]}: Address already in use; name another --port"
        assert f"hub: {told}\n" == taken.stderr
        assert 0 == served.end(signal.SIGINT), served.lines
        assert 1 == len(served.lines)


@pytest.mark.parametrize("arguments", ["explain RV-26-1003", "read {inbox}"])
def test_a_reader_that_goes_away_is_no_error(day: Bench, arguments: str) -> None:
    """`hub … | head -1` says nothing on the error output, however early the pipe breaks."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        words = arguments.format(inbox=day.folder / "done").split()
        done = subprocess.run(
            [HUB, "-w", day.folder, *words], stdout=theirs, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(theirs)
    assert (b"", True) == (done.stderr, done.returncode in {0, 1})


def test_a_database_that_another_program_holds_is_told_and_nothing_is_lost(
    fresh: Bench, anywhere: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that it waits, one message and status 1; when the other has gone, the same command works."""
    anywhere("-w", fresh.folder, "status")
    fresh.put("one.xml", service("SV-LOCK"))
    _age(fresh)
    monkeypatch.setattr("hub.store.database.BUSY_SECONDS", 1)
    holder = sqlite3.connect(fresh.folder / "hub.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        held = anywhere("-w", fresh.folder, "run", "--once")
    finally:
        holder.close()
    assert (1, "", 1) == (held.exit_code, held.stdout, len(held.stderr.splitlines()))
    assert re.match(r"hub: .*another program has held the database", held.stderr)
    assert ["one.xml"] == [path.name for path in fresh.inbox.iterdir()]
    assert 0 == anywhere("-w", fresh.folder, "run", "--once").exit_code
    assert {"SV-LOCK": "sent"} == fresh.states()


def test_the_workspace_can_be_named_by_the_environment(day: Bench) -> None:
    """HUB_WORKSPACE stands for `-w`; a terminal that knows few letters gets `?` for the others, and no error."""
    told = hub("status", "--submission", "held", HUB_WORKSPACE=str(day.folder), PYTHONIOENCODING="ascii:strict")
    assert (0, "") == (told.status, told.err)
    assert "? Held by our rules" in told.out


def test_long_work_says_how_far_it_is_where_no_bar_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain line on the error output now and then; what is done in a moment says nothing."""
    assert [7, 8] == list(shell.in_lines("checking", [7, 8], 2))
    assert "" == capsys.readouterr().err
    monkeypatch.setattr(shell, "_SAY_EVERY", 0.0)
    assert [7, 8] == list(shell.in_lines("checking", [7, 8], 2))
    assert "checking: 1 of 2\nchecking: 2 of 2\n" == capsys.readouterr().err
