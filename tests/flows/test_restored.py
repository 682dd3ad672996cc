"""Restored backups, copies and a stop, with the real program and the simulated network behind it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import NETWORK, Bench, Running, command, hub, make_bench, network, service, until

from hub.contract.status import Submission
from hub.simulators.client import Simulator

SENT = Submission.SENT


@pytest.fixture
def careless(tmp_path: Path) -> Iterator[Bench]:
    """A workspace whose network would take every number twice."""
    buyers = [buyer | {"enforce_unique_numbers": False} for buyer in NETWORK["buyers"]]
    with Simulator.start(network(buyers=buyers), settle=0.1) as sim:
        bench = make_bench(tmp_path / "workspace", sim, settles="0.2s")
        bench.change("submit_every: 1s", "submit_every: 0.2s")
        bench.change("inbox, every: 2s", "inbox, every: 0.2s")
        yield bench


def put(bench: Bench, *numbers: str) -> None:
    """Invoices that nobody writes any more."""
    for number in numbers:
        bench.put(f"{number}.xml", service(number))
        os.utime(bench.inbox / f"{number}.xml", (1, 1))


def there(bench: Bench) -> dict[str, int]:
    """How often the network has each number."""
    return dict(Counter(document["number"] for document in bench.network.documents()))


def backup(folder: Path, to: Path) -> None:
    """A consistent copy of the ledger while it may be in use."""
    source, target = sqlite3.connect(folder / "hub.db"), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def restore(folder: Path, copy: Path) -> None:
    """The copy takes the ledger's place."""
    for suffix in ("-wal", "-shm"):
        (folder / f"hub.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, folder / "hub.db")


def test_a_restored_ledger_sends_nothing_twice(careless: Bench, tmp_path: Path) -> None:
    """It starts disarmed; `hub arm` reads the done folder, finds at the portal what went, and only then sends."""
    bench = careless
    put(bench, "SV-01")
    bench.work()
    backup(bench.folder, tmp_path / "aside.db")
    put(bench, "SV-02", "SV-03")
    bench.work()
    restore(bench.folder, tmp_path / "aside.db")

    put(bench, "SV-04")
    with Running("-w", bench.folder, "run") as run:
        run.wait_for("nothing is sent: the ledger has forgotten 2 attempts by ariba-de")
        until(lambda: bench.states().get("SV-04") == "ready")
        assert 0 == run.end(signal.SIGTERM), run.lines
    assert {"SV-01": 1, "SV-02": 1, "SV-03": 1} == there(bench)
    assert "hub: nothing is sent: the ledger has forgotten 2" in command("-w", bench.folder, "status").output
    doctor = command("-w", bench.folder, "doctor")
    assert (1, True) == (doctor.exit_code, f"fix: hub -w {bench.folder} arm" in doctor.output)

    told = command("-w", bench.folder, "arm")
    assert (1, "not armed") == (told.exit_code, told.output.splitlines()[-1])
    assert "2 invoices of the done folders were unknown and came back" in told.output
    assert "SV-02 (ariba-de): the portal has it (ours by number, customer and total)" in told.output
    assert {"SV-01": SENT, "SV-02": SENT, "SV-03": SENT, "SV-04": "ready"} == bench.states()
    armed = hub("-w", bench.folder, "arm", "--yes", "--by", "ann")
    assert (0, "") == (armed.status, armed.err)
    assert "it is armed already\n" == command("-w", bench.folder, "arm").output
    bench.work()
    assert dict.fromkeys(("SV-01", "SV-02", "SV-03", "SV-04"), 1) == there(bench)


def test_of_two_copies_that_run_at_once_one_sends(careless: Bench, tmp_path: Path) -> None:
    """The copy takes in what it is given and sends none of it."""
    bench = careless
    put(bench, "SV-01")
    bench.work()
    copy = Bench(tmp_path / "copy", bench.network)
    shutil.copytree(bench.folder, copy.folder)
    for one in (bench, copy):
        put(one, "SV-02", "SV-03", "SV-04")
    with Running("-w", copy.folder, "run") as second, Running("-w", bench.folder, "run") as first:
        second.wait_for("nothing is sent: .* so this is a copy")
        until(lambda: len(there(bench)) == 4 and not [*bench.inbox.iterdir(), *copy.inbox.iterdir()], 40)
        until(lambda: "draft" not in copy.states().values())
        refused = command("-w", copy.folder, "arm", "--yes")
        assert (0, 0) == (first.end(signal.SIGTERM), second.end(signal.SIGTERM))
    assert dict.fromkeys(("SV-01", "SV-02", "SV-03", "SV-04"), 1) == there(bench)
    assert (1, True) == (refused.exit_code, "which is armed and sends; stop that one first" in refused.output)
    assert "ready" in copy.states().values()


def test_stop_all_stops_a_hub_that_is_running(careless: Bench) -> None:
    """What is on the wire may end; whatever else was claimed or ready stays, and nobody doubts it."""
    bench = careless
    bench.change("submit_every: 0.2s", "limits: {per_second: 4}\n    submit_every: 0.2s")
    put(bench, *(f"SV-{n:02}" for n in range(1, 25)))
    with Running("-w", bench.folder, "run") as run:
        until(lambda: len(there(bench)) >= 2)
        stopped = command("-w", bench.folder, "stop-all", "--why", "wrong prices", "--by", "ann")
        assert (0, "nothing more is sent; `hub arm` lets it begin again\n") == (stopped.exit_code, stopped.output)
        until(lambda: "sending" not in bench.states().values())
        arrived, states = there(bench), bench.states()
        assert len(arrived) < 24, "it was over before it was stopped"
        until(lambda: len(bench.states()) == 24 and "draft" not in bench.states().values())
        asked = len(bench.network.requests("statuses"))
        until(lambda: len(bench.network.requests("statuses")) >= asked + 2)  # it goes on reading
        assert {"sent", "ready"} == set(bench.states().values())
        assert arrived == there(bench)
        assert set(arrived) == {number for number, state in states.items() if state == SENT}
        assert "hub: nothing is sent: stopped by ann: wrong prices" in command("-w", bench.folder, "status").output
        assert 0 == command("-w", bench.folder, "arm", "--yes", "--by", "ann").exit_code
        until(lambda: len(there(bench)) > len(arrived))
        assert 0 == run.end(signal.SIGTERM), run.lines
    assert {1} == set(there(bench).values())
