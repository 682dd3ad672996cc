"""Which copy of a ledger may send: the state file, restored backups, copies, machines, and what arming asks for."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from delivery_house import (
    ON_BOTH,
    STAGE,
    House,
    Lane,
    at,
    event,
    hear,
    invoice,
    open_tasks,
    receive,
    rows,
    state,
    work,
)
from portal_in_memory import Death, Portal, raises
from sqlalchemy.engine import make_url
from workbench import command

from hub import doctor, durable, steering
from hub.cli import main
from hub.contract.connector import Page
from hub.contract.errors import NeedsHuman
from hub.delivery import admit, arming, check, deliver, ledger, tasks
from hub.delivery.arming import ArmError
from hub.delivery.marks import DamagedError, Header, Marks
from hub.delivery.tasks import Say, Spoken
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine import before_arming, local
from hub.store import tables as t

HEADER = Header("one", "here", "/hub.db")


def arm(ws: Workspace, *, by_hand: frozenset[str] = frozenset(), trusted: bool = False) -> before_arming.Found:
    """What `hub arm --yes` does."""
    found = before_arming.look(ws, by_hand=by_hand, trusted=trusted)
    before_arming.arm(ws, found, by="ann", why="looked", by_hand=by_hand, trusted=trusted)
    return found


def instance(ws: Workspace) -> sa.Row[tuple[object, ...]]:
    with ws.db.reading() as tx:
        return tx.execute(sa.select(t.instance)).one()


def said(ws: Workspace) -> list[tuple[str | None, str]]:
    """What the ledger tells of its arming: what it became, and who said so."""
    return [(one.after, one.actor) for one in rows(ws, t.transition, t.transition.c.subject == arming.INSTANCE)]


def backup(house: House, to: Path) -> None:
    """A copy of the ledger, made while nobody has it open."""
    shutil.copy(house.folder / "hub.db", to)


def ready(ws: Workspace, number: str) -> int:
    """An invoice that is checked and could go."""
    submission_id = receive(ws, invoice(number))
    for one in check.due(ws):
        check.check(ws, one)
    assert "ready" == state(ws, submission_id)
    return submission_id


@pytest.fixture
def restored(house: House, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Workspace, Portal, int]:
    """A ledger from before its last send: the invoice A-1 is ready in it, and at the portal."""
    ws, portal = house.acme(**getattr(request, "param", {}))
    submission_id = ready(ws, "A-1")
    ws.close()
    backup(house, tmp_path / "aside.db")
    ws = house.open()
    work(ws, house.clock)
    assert "sent" == state(ws, submission_id)
    ws.close()
    shutil.copy(tmp_path / "aside.db", house.folder / "hub.db")
    return house.open(), portal, submission_id


@pytest.fixture
def no_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder for state files cannot be made."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(arming.FOLDER, str(tmp_path / "file" / "state"))


@contextlib.contextmanager
def another_machine(house: House, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The same workspace as another machine opens it, with a state folder of its own."""
    with monkeypatch.context() as patch:
        patch.setattr(arming, "host", lambda: "another machine")
        ws = open_workspace(house.folder, now=house.clock, state=folder)
        try:
            yield ws
        finally:
            ws.close()


@ON_BOTH
def test_a_new_workspace_is_armed_and_known_to_this_machine_alone(house: House) -> None:
    """Its first opening makes the state file, outside the workspace; whatever is opened later agrees with it."""
    ws, portal = house.acme()
    file = Path(os.environ[arming.FOLDER]) / f"{ws.arming.instance}.marks"
    header = json.loads(file.read_bytes().splitlines()[0])
    assert (ws.arming.instance, arming.host()) == (header["instance"], header["host"])
    assert "data-canary" not in file.read_text()
    assert [("armed", "hub")] == said(ws)
    receive(ws, invoice("A-1"))
    again = house.open()
    work(again, house.clock)
    assert 1 == len(portal.sent)
    assert {"acme": 1} == Marks.read(file).known()
    again.close()
    assert {"acme", ""} == Marks.read(file).known().keys()
    assert ws.arming.refused is None
    assert not (house.folder / ".marks").exists()


def test_a_restored_backup_reads_and_never_sends(restored: tuple[Workspace, Portal, int], house: House) -> None:
    """The state file knows of an attempt that the ledger has forgotten; that is said once, where people look."""
    ws, portal, submission_id = restored
    assert "forgotten 1 attempts by acme" in (ws.arming.refused or "")
    assert (False, ws.arming.refused) == (instance(ws).armed, instance(ws).disarmed_why)
    assert [] == deliver.due(ws, "acme")
    assert deliver.deliver(ws, submission_id) is None
    assert 0 == hear(ws)
    house.open()
    work(house.open(), house.clock)
    assert ("ready", 1) == (state(ws, submission_id), len(portal.sent))
    assert [("armed", "hub"), ("disarmed", "hub")] == said(ws)


def test_arming_finds_what_a_restored_ledger_forgot(restored: tuple[Workspace, Portal, int], house: House) -> None:
    """The portal is asked for each open invoice; what it has is adopted, and goes no second time."""
    ws, portal, submission_id = restored
    before = ws.arming.instance
    assert {"adopted": 1} == arm(ws).looks
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))
    assert ("armed", "person:ann") == said(ws)[-1]
    assert (True, "person:ann") == (instance(ws).armed, instance(ws).armed_by)
    assert before != instance(ws).id == ws.arming.instance
    assert not (Path(os.environ[arming.FOLDER]) / f"{before}.marks").exists(), "it might find itself known once more"
    receive(ws, invoice("A-2"))
    work(house.open(), house.clock)
    assert 2 == len(portal.sent)


def test_what_people_did_without_an_attempt_is_missed_as_well(house: House, tmp_path: Path) -> None:
    """A ledger that forgot a withdrawal is noticed by its length, though every attempt is in it."""
    ws, portal = house.acme()
    submission_id = ready(ws, "A-1")
    ws.close()
    backup(house, tmp_path / "aside.db")
    ws = house.open()
    admit.withdraw(ws, submission_id, by="ann", why="not owed")
    ws.close()
    shutil.copy(tmp_path / "aside.db", house.folder / "hub.db")
    work(house.open(), house.clock)
    assert [] == portal.sent


@pytest.mark.parametrize("restored", [{"lookup": "none", "repeat": "unsafe"}], indirect=True)
def test_where_no_portal_can_be_asked_people_look_first(restored: tuple[Workspace, Portal, int], house: House) -> None:
    """What could have been sent and forgotten becomes a question, and goes only after its answer."""
    ws, portal, submission_id = restored
    held = receive(ws, invoice("A-2", buyer_reference=None))
    assert [submission_id, held] == arm(ws).for_people
    work(ws, house.clock)
    assert ("needs_human", "needs_human", 1) == (state(ws, submission_id), state(ws, held), len(portal.sent))
    first, second = open_tasks(ws)
    assert ("look", "look") == (first.kind, second.kind)
    tasks.answer(ws, first.id, Spoken(Say.SENT, by="ann"))
    tasks.answer(ws, second.id, Spoken(Say.NOT_THERE, by="ann"))
    work(ws, house.clock)
    assert ("sent", "held", 1) == (state(ws, submission_id), state(ws, held), len(portal.sent))


def test_a_task_to_key_in_becomes_a_question_whether_it_was(house: House) -> None:
    """What a restored ledger asks a person to key in, somebody may have keyed in since."""
    ws, portal = house.acme(lookup="none", people=True)

    def ask() -> NeedsHuman:
        return NeedsHuman("key it in", action="key it in")

    portal.acts += [raises(ask), raises(ask)]
    submission_id = receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert ["key_in"] == [task.kind for task in open_tasks(ws)]
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped", actor="person:ann", at=house.clock())
    assert [submission_id] == arm(ws).for_people
    [task] = open_tasks(ws)
    assert "look" == task.kind
    tasks.answer(ws, task.id, Spoken(Say.NOT_THERE, by="ann"))
    work(ws, house.clock)
    assert ["key_in"] == [task.kind for task in open_tasks(ws)]


def test_a_person_may_vouch_that_nothing_was_lost(house: House, tmp_path: Path) -> None:
    """A workspace that was moved is armed without questions; where this machine knows better it is refused."""
    ws, portal = house.acme(lookup="none")
    submission_id = ready(ws, "A-1")
    before = ws.arming.instance
    ws.close()
    house.folder = house.folder.rename(tmp_path / "moved")
    ws = house.open()
    assert "so this is a copy" in instance(ws).disarmed_why
    assert [] == arm(ws, trusted=True).for_people
    assert not (Path(os.environ[arming.FOLDER]) / f"{before}.marks").exists()
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))


def test_nobody_may_vouch_for_a_ledger_that_surely_forgot(restored: tuple[Workspace, Portal, int]) -> None:
    """The state file is a better witness."""
    with pytest.raises(ArmError, match=r"forgotten 1 attempts by acme.*arm it without --nothing-lost"):
        before_arming.look(restored[0], trusted=True)


def test_of_two_copies_one_sends(house: House, tmp_path: Path) -> None:
    """The copy finds itself elsewhere; it cannot be armed while the other is, and gets an identity of its own."""
    ws, portal = house.acme()
    submission_id = ready(ws, "A-1")
    ws.close()
    shutil.copytree(house.folder, tmp_path / "copy")
    ws = house.open()
    copy = open_workspace(tmp_path / "copy", now=house.clock)
    house.opened.append(copy)
    assert f"armed as {house.folder}/hub.db and is now {tmp_path}/copy/hub.db" in instance(copy).disarmed_why
    assert ([], [submission_id]) == (deliver.due(copy, "acme"), deliver.due(ws, "acme"))
    assert deliver.deliver(copy, submission_id) is None
    with pytest.raises(ArmError, match=rf"a copy of the workspace at {house.folder}/hub.db, which is armed and sends"):
        before_arming.look(copy)
    work(ws, house.clock)
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="the other one goes on", actor="person:ann", at=house.clock())
    original = instance(ws).id
    assert {"adopted": 1} == arm(copy).looks
    assert instance(copy).id != original == instance(ws).id
    receive(ws, invoice("A-2"))
    work(ws, house.clock)
    work(copy, house.clock)
    assert 1 == len(portal.sent)
    assert (Path(os.environ[arming.FOLDER]) / f"{original}.marks").exists()


def test_a_ledger_from_before_asks_to_be_armed_once(house: House) -> None:
    """A version that kept no state file left no place in the row."""
    ws, portal = house.acme()
    with ws.db.writing("test") as tx:
        tx.execute(t.instance.update().values(host="somewhere", place=None))
    ws.close()
    ws = house.open()
    assert "a version of the hub that did not watch for copies" in instance(ws).disarmed_why
    arm(ws, trusted=True)
    receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert 1 == len(portal.sent)


def test_a_new_ledger_beside_the_work_of_an_earlier_one_is_not_armed(tmp_path: Path) -> None:
    """Whoever deletes the ledger has forgotten everything that it sent."""
    (tmp_path / "hub.yaml").write_text("sources: {inbox: {folder: inbox}}", encoding="utf-8")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "A-1.xml").touch()
    ws = open_workspace(tmp_path)
    assert f"the ledger is new, but {tmp_path}/done holds" in instance(ws).disarmed_why
    ws.close()


@pytest.mark.usefixtures("no_state")
def test_without_a_state_folder_nothing_is_sent(house: House) -> None:
    """The ledger can be read and filled; why nothing goes names the variable to set."""
    ws, portal = house.acme()
    receive(ws, invoice("A-1"))
    work(ws, house.clock)
    assert [] == portal.sent
    assert "set HUB_STATE to a folder outside the workspace" in instance(ws).disarmed_why
    with pytest.raises(OSError, match="Not a directory"):
        arm(ws, trusted=True)


def test_a_state_file_that_cannot_be_written_any_more_stops_at_the_wire(house: House) -> None:
    """The attempt is begun and certainly not delivered; nobody doubts it."""
    ws, portal = house.acme()
    submission_id = ready(ws, "A-1")
    (Path(os.environ[arming.FOLDER]) / f"{ws.arming.instance}.marks").unlink()
    assert "ready" == deliver.deliver(ws, submission_id)
    [attempt] = rows(ws, t.attempt)
    assert ("no", []) == (attempt.delivered, portal.sent)
    assert "not sent: the state file of this machine cannot be kept" in attempt.words


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"[1, 2]\n",
        b'{"instance": "x"}\n',
        b'{"instance": "x", "host": "h", "place": "p"}\n["acme", 1]\nno\n',
    ],
)
def test_a_damaged_state_file_is_never_made_anew(house: House, content: bytes) -> None:
    """What it knew is lost, so a person must look; it is kept as it is."""
    ws, portal = house.acme()
    receive(ws, invoice("A-1"))
    file = Path(os.environ[arming.FOLDER]) / f"{ws.arming.instance}.marks"
    file.write_bytes(content)
    ws = house.open()
    work(ws, house.clock)
    assert [] == portal.sent
    assert "is damaged in line" in (ws.arming.refused or "")
    assert content == file.read_bytes()
    arm(ws)
    work(ws, house.clock)
    assert 1 == len(portal.sent)


def test_a_worker_alone_says_in_the_ledger_that_it_does_not_send(house: House, tmp_path: Path) -> None:
    """Whoever only looks from elsewhere stops nobody; the worker of a SQLite file speaks for all."""
    ws, _ = house.acme()
    elsewhere = open_workspace(house.folder, now=house.clock, state=tmp_path / "elsewhere")
    house.opened.append(elsewhere)
    assert "has no state file of the ledger" in (elsewhere.arming.refused or "")
    assert instance(ws).armed
    local.once(elsewhere, quiet=0)
    assert (False, elsewhere.arming.refused) == (instance(ws).armed, instance(ws).disarmed_why)


def test_a_death_between_the_two_marks_is_no_restore(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger may be ahead of the state file, for it is written first."""
    ws, portal = house.acme(repeat="refuses")
    submission_id = ready(ws, "A-1")

    def die(what: str) -> None:
        if what == "deliver.begin":
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(durable, "landed", die)
        with pytest.raises(Death):
            deliver.deliver(ws, submission_id)
    ws = house.open()
    assert ws.arming.refused is None
    local.once(ws)
    work(ws, house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.live()))


@ON_BOTH
def test_stopped_by_a_person_nothing_goes_that_was_claimed(house: House) -> None:
    """Between the claim and the wire everything is stopped: it is ready again, and nobody doubts it."""
    ws, portal = house.acme()
    submission_id = ready(ws, "A-1")

    def stop() -> None:
        with house.open().db.writing("test") as tx:
            arming.disarm(tx, why="stopped by ann: wrong prices", actor="person:ann", at=house.clock())

    portal.finds.append(stop)
    assert "ready" == deliver.deliver(ws, submission_id)
    [attempt] = rows(ws, t.attempt)
    assert ("no", "not sent: stopped by ann: wrong prices") == (attempt.delivered, attempt.words)
    work(ws, house.clock)
    assert [] == portal.sent
    assert ("disarmed", "person:ann") == said(ws)[-1]


@ON_BOTH
def test_who_runs_goes_on_when_another_process_has_armed(house: House) -> None:
    """The identity changes, and with it the state file; whoever finds the new one here need not be started anew."""
    ws, portal = house.acme()
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped", actor="person:ann", at=house.clock())
    receive(ws, invoice("A-1"))
    work(ws, house.clock)
    other = house.open()
    arm(other)
    assert other.arming.instance != ws.arming.instance
    work(ws, house.clock)
    assert (1, other.arming.instance) == (len(portal.sent), ws.arming.instance)


@pytest.mark.parametrize("house", ["postgresql_house"], indirect=True)
def test_each_machine_at_one_database_is_armed_once(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second machine stops nobody, joins under the same identity, and then both may send."""
    ws, portal = house.acme()
    receive(ws, invoice("A-1"))
    with another_machine(house, tmp_path / "state", monkeypatch) as second:
        assert [] == deliver.due(second, "acme")
        assert instance(ws).armed
        work(ws, house.clock)
        with second.db.writing("test") as tx:
            done = second.arming.arm(tx, actor="person:ann", why="a second machine")
        done()
        assert ws.arming.instance == second.arming.instance == instance(ws).id
        receive(ws, invoice("A-2"))
        work(second, house.clock)
    receive(ws, invoice("A-3"))
    work(ws, house.clock)
    assert 3 == len(portal.sent)


@pytest.mark.parametrize("house", ["postgresql_house"], indirect=True)
def test_a_database_that_goes_back_under_a_running_hub_is_noticed(house: House) -> None:
    """Before each pass the ledger is compared with what this process knows."""
    ws, portal = house.acme()
    receive(ws, invoice("A-1"))
    work(ws, house.clock)
    with ws.db.writing("test") as tx:
        tx.execute(t.connection.update().values(mark=0))
    receive(ws, invoice("A-2"))
    work(ws, house.clock)
    assert 1 == len(portal.sent)
    assert not instance(ws).armed


def test_a_copy_of_a_postgresql_database_is_another(
    tmp_path: Path,
    scripted: None,  # noqa: ARG001
    postgresql_server: Any,
) -> None:
    """A dump that is read in, or a copied database, has the same rows and another place; the original goes on."""
    url = postgresql_server.empty()
    house = House(tmp_path / "ws", url.replace("+psycopg", ""))
    ws, portal = house.acme()
    submission_id = ready(ws, "A-1")
    ws.close()
    name = make_url(url).database
    postgresql_server._admin.execute(f"CREATE DATABASE copy_of_{name} TEMPLATE {name}")
    house.database = house.database.replace(f"/{name}?", f"/copy_of_{name}?")
    house.write(Lane("acme", {}))
    copy = house.open()
    assert "it was armed elsewhere, so this is a copy, was moved or was restored" in instance(copy).disarmed_why
    assert [] == deliver.due(copy, "acme")
    house.database = house.database.replace(f"/copy_of_{name}?", f"/{name}?")
    house.write(Lane("acme", {}))
    work(ws := house.open(), house.clock)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))
    assert {"adopted": 1} == arm(copy).looks
    work(copy, house.clock)
    assert 1 == len(portal.sent)
    for one in house.opened:
        one.close()


def test_a_document_that_is_unknown_here_stops_its_connection(
    restored: tuple[Workspace, Portal, int], house: House
) -> None:
    """The portal speaks of an invoice that no file brought back: whoever has it could send it once more."""
    ws, _, _ = restored
    hear(ws, event("e-1", "approved", at=at(1), concerns=STAGE, number="A-9", portal_id="P-9"))
    hear(ws, event("e-2", "approved", at=at(1), concerns=STAGE, number="A-1", portal_id="P-1"))
    assert {"acme": ["A-9"]} == arm(ws).strangers
    paused = rows_of_connection(ws)
    assert paused.paused_at == house.clock()
    assert "its portal speaks of 1 documents that are unknown here (A-9)" in paused.paused_why


def rows_of_connection(ws: Workspace) -> sa.Row[tuple[object, ...]]:
    with ws.db.reading() as tx:
        return tx.execute(sa.select(t.connection)).one()


def test_a_portal_that_cannot_be_asked_hinders_arming(restored: tuple[Workspace, Portal, int], house: House) -> None:
    """Nothing is armed by halves, unless people look there by hand."""
    ws, portal, submission_id = restored

    def down() -> None:
        raise TimeoutError("no answer")

    portal.finds.append(down)
    found = before_arming.look(ws)
    assert {"acme": "A-1: the portal could not be asked: no answer"} == found.hinders
    with pytest.raises(ArmError, match="no answer"):
        before_arming.arm(ws, found, by="ann", why="", by_hand=frozenset(), trusted=False)
    assert not instance(ws).armed
    assert [submission_id] == arm(ws, by_hand=frozenset({"acme"})).for_people
    work(ws, house.clock)
    assert ("needs_human", 1) == (state(ws, submission_id), len(portal.sent))


def test_a_look_comes_after_the_portals_search_has_settled(house: House) -> None:
    """What was sent a moment before may be missing in the portal's search; an absence proves nothing yet."""
    ws, _ = house.acme(settles=10**10)
    ready(ws, "A-1")
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped", actor="person:ann", at=house.clock())
    assert "its search may not show yet what was sent last" in before_arming.look(ws).hinders["acme"]
    assert {} == before_arming.look(ws, trusted=True).hinders


def test_a_torn_last_line_was_never_answered_for(tmp_path: Path) -> None:
    """A power cut may leave half a line: nothing had gone to the wire for it."""
    marks = Marks.make(tmp_path / "a.marks", HEADER, {"acme": 3})
    marks.raise_to("acme", 4)
    with marks.path.open("ab") as file:
        file.write(b'["acme", 5')
    again = Marks.read(marks.path)
    assert {"acme": 4} == again.known()
    again.raise_to("acme", 5)
    assert {"acme": 5} == Marks.read(marks.path).known()


def test_a_state_file_stays_small(tmp_path: Path) -> None:
    """It grows by a line an attempt, and is written anew when it is opened; who has it open goes on writing to it."""
    marks = Marks.make(tmp_path / "a.marks", HEADER, {})
    marks.path.write_bytes(marks.path.read_bytes() + b"".join(b'["acme", %d]\n' % n for n in range(9000)))
    marks.raise_to("acme", 9001)
    assert {"acme": 9001} == Marks.read(marks.path).known()
    assert 200 > marks.path.stat().st_size
    marks.raise_to("acme", 9002)
    assert {"acme": 9002} == Marks.read(marks.path).known()


def test_a_full_disk_leaves_the_state_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line is taken back, so that the next one stands on its own."""
    marks = Marks.make(tmp_path / "a.marks", HEADER, {})
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, content: write(file, content[:5]))
        with pytest.raises(OSError, match="No space left"):
            marks.raise_to("acme", 1)
    marks.raise_to("acme", 2)
    assert {"acme": 2} == Marks.read(marks.path).known()


def test_a_state_file_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """Only arming makes one."""
    marks = Marks.make(tmp_path / "a.marks", HEADER, {})
    marks.path.unlink()
    with pytest.raises(FileNotFoundError):
        marks.raise_to("acme", 1)
    assert not marks.path.exists()
    with pytest.raises(FileNotFoundError):
        Marks.read(marks.path)
    (tmp_path / "b.marks").write_bytes(b"nothing")
    with pytest.raises(DamagedError, match=r"b.marks is damaged in line 1"):
        Marks.read(tmp_path / "b.marks")


def test_threads_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while the disk works waits for the next sync, together with the others."""
    marks = Marks.make(tmp_path / "a.marks", HEADER, {})
    sync, syncs, all_asked = os.fdatasync, [], threading.Event()

    def slow(file: int) -> None:
        syncs.append(file)
        all_asked.wait(10)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", slow)
    first = threading.Thread(target=marks.raise_to, args=("acme", 1))
    first.start()
    while not syncs:
        pass
    others = [threading.Thread(target=marks.raise_to, args=("acme", n)) for n in range(2, 10)]
    for one in others:
        one.start()
    while marks._asked["acme"] < 9 or len(marks._turn._waiters) < len(others):  # type: ignore[attr-defined]
        pass
    all_asked.set()
    for one in (first, *others):
        one.join()
    assert 2 == len(syncs)
    assert {"acme": 9} == Marks.read(marks.path).known()


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"HUB_STATE": "/var/lib/hub"}, "/var/lib/hub"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/ann"}, "/state/portal-hub"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/ann"}, "/home/ann/.local/state/portal-hub"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/portal-hub"),
    ],
)
def test_where_state_files_are_kept(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the variable says, else in the user's folder for such things."""
    for name in ("HUB_STATE", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Path(folder) == arming.state_folder(tmp_path)


@pytest.mark.parametrize("said_", ["state", "INSIDE/state"])
def test_a_state_folder_that_a_copy_would_carry_is_refused(
    said_: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative path is another one elsewhere, and what lies in the workspace is copied with it."""
    monkeypatch.setenv(arming.FOLDER, said_.replace("INSIDE", str(tmp_path)))
    with pytest.raises(OSError, match="name a whole path outside the workspace"):
        arming.state_folder(tmp_path)


@pytest.mark.parametrize("machine_id", [None, "", "uninitialized\n"])
def test_a_container_without_a_machine_id_is_told_by_its_name(
    machine_id: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Images hold none, or an empty one."""
    if machine_id is not None:
        (tmp_path / "machine-id").write_text(machine_id)
    monkeypatch.setattr(arming, "_MACHINE_ID", tmp_path / "machine-id")
    monkeypatch.setattr(arming.socket, "gethostname", lambda: "one")
    one = arming.host()
    monkeypatch.setattr(arming.socket, "gethostname", lambda: "two")
    assert one != arming.host()
    (tmp_path / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    known = arming.host()
    monkeypatch.setattr(arming.socket, "gethostname", lambda: "three")
    assert known == arming.host()
    assert "0123456789abcdef" not in known


def test_a_portal_that_only_lists_proves_no_absence(house: House) -> None:
    """What its list does not show goes to people."""
    ws, portal = house.acme(lookup="listing")
    submission_id = ready(ws, "A-1")
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped", actor="person:ann", at=house.clock())
    assert [submission_id] == arm(ws).for_people
    work(ws, house.clock)
    assert ("needs_human", []) == (state(ws, submission_id), portal.sent)


def test_statuses_that_cannot_be_collected_hinder_arming(restored: tuple[Workspace, Portal, int]) -> None:
    """What a portal would have told of unknown documents is not known then."""
    ws, portal, _ = restored

    def down() -> Page:
        raise TimeoutError("no answer")

    portal.pages.append(down)
    assert {"acme": "could not be asked for statuses: no answer"} == before_arming.look(ws).hinders


def test_what_is_on_the_wire_hinders_arming(house: House) -> None:
    """Its worker may still come to an end."""
    ws, _ = house.acme()
    submission_id = ready(ws, "A-1")
    at_work = house.clock() + deliver.LEASE
    with ws.db.writing("test") as tx:
        ledger.claim(tx, submission_id, owner="another", until=at_work, at=house.clock())
        arming.disarm(tx, why="stopped", actor="person:ann", at=house.clock())
    with local.alone(house.open()), pytest.raises(ArmError, match="1 invoices moved while the portals were asked"):
        arm(ws)
    assert ("sending", False) == (state(ws, submission_id), instance(ws).armed)


def test_a_deleted_state_file_is_told_by_doctor(house: House) -> None:
    """The remedy is a command."""
    ws, _ = house.acme()
    [check_] = [one for one in doctor.examine(house.folder) if one.name == "armed"]
    assert (True, "") == (check_.ok, check_.fix)
    (Path(os.environ[arming.FOLDER]) / f"{ws.arming.instance}.marks").unlink()
    [check_] = [one for one in doctor.examine(house.folder) if one.name == "armed"]
    assert (False, f"hub -w {house.folder} arm") == (check_.ok, check_.fix)
    assert "has no state file of the ledger" in check_.says


def test_stopping_twice_keeps_the_first_reason(house: House) -> None:
    """The command says what it changed."""
    ws, _ = house.acme()
    stop = ("-w", house.folder, "stop-all", "--by", "ann", "--why")
    assert "nothing more is sent; `hub arm` lets it begin again\n" == command(*stop, "wrong prices").output
    assert "nothing was sent before either\n" == command(*stop, "again").output
    assert "stopped by ann: wrong prices" == instance(ws).disarmed_why


@pytest.mark.parametrize(
    ("keyboard", "typed", "told", "armed"),
    [(False, "", "not armed\n", False), (True, "yes\n", "not armed\n", False), (True, "arm\n", "from now on\n", True)],
)
def test_a_person_types_the_word_to_arm_it(
    house: House,
    monkeypatch: pytest.MonkeyPatch,
    keyboard: bool,  # noqa: FBT001
    typed: str,
    told: str,
    armed: bool,  # noqa: FBT001
) -> None:
    """Where nobody is at the keyboard, --yes is needed."""
    ws, _ = house.acme(settles=0)
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped by ann", actor="person:ann", at=house.clock())
    monkeypatch.setattr(steering, "_at_keyboard", lambda: keyboard)
    ran = CliRunner().invoke(main, ["-w", str(house.folder), "arm"], input=typed)
    assert (armed, armed) == (ran.exit_code == 0, instance(ws).armed)
    assert ran.output.startswith("not armed: stopped by ann\n")
    assert ran.output.endswith(told)


def test_an_unknown_connection_is_no_road_round(house: House) -> None:
    """A misspelt name stops the command."""
    ws, _ = house.acme()
    with ws.db.writing("test") as tx:
        arming.disarm(tx, why="stopped by ann", actor="person:ann", at=house.clock())
    ran = command("-w", house.folder, "arm", "--yes", "--by-hand", "acne")
    assert (1, "hub: hub.yaml has no connection acne\n") == (ran.exit_code, ran.output)
    assert not instance(ws).armed
