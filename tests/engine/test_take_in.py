"""From the inbox into the ledger: each file once in effect, whatever happens in between."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripted import cascadia, drop, install, invoice, make_workspace, other_content, rows, states

from fixtures.ubl import ubl
from hub.delivery import admit
from hub.delivery.workspace import Workspace, open_workspace
from hub.engine import work
from hub.sources import folder as folders
from hub.sources.folder import Fate
from hub.store import tables as t
from hub.store.blobs import Blobs
from hub.store.database import Database, StoreError

Open = Callable[..., Workspace]
ONE_EACH = (t.document, t.revision, t.submission, t.intake)


def scan(ws: Workspace) -> dict[str, Fate]:
    return {name: handled.fate for name, handled in work.scan(ws, "inbox", quiet=0)}


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def blobs(workspace: Path) -> int:
    return sum(path.is_file() for path in (workspace / "store").rglob("*")) if (workspace / "store").exists() else 0


# --- a death at any point --------------------------------------------------------------------------------------------


class DeathError(BaseException):
    """The process ends here."""


def die_at(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process end before its so many-th change: of the store, the ledger or the folders."""
    count = 0

    def mortal(act: Callable[..., object]) -> Callable[..., object]:
        def do(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count == moment:
                raise DeathError
            return act(*args, **kwargs)

        return do

    for home, name in (
        (Blobs, "put"),
        (Database, "writing"),
        (folders.Path, "rename"),
        (folders, "write_whole"),
        (folders, "sync_folder"),
    ):
        patch.setattr(home, name, mortal(getattr(home, name)))


@pytest.mark.parametrize("good", [True, False])
def test_a_death_at_any_point_takes_a_file_in_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    good: bool,  # noqa: FBT001
) -> None:
    """Whenever it dies and starts again: one document, one line of what became of the file, which is in one place."""
    install(monkeypatch)
    content = ubl(invoice("A")) if good else b"<html></html>"
    expected = [1, 1, 1, 1] if good else [0, 0, 0, 1]
    for moment in range(1, 30):
        here = tmp_path / str(moment)
        ws = _open_in(here)
        (here / "inbox" / "A.xml").write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            die_at(moment, patch)
            try:
                scan(ws)
            except DeathError:
                died = True
            else:
                died = False
        ws.close()
        ws = _open_in(here)
        scan(ws)
        found = [len(rows(ws, table)) for table in ONE_EACH]
        fate = "done" if good else "refused"
        assert (expected, [], fate) == (
            found,
            names(here / "inbox"),
            "done" if (here / "done" / "A.xml").exists() else "refused",
        )
        assert {"done", "refused"} - {fate} == {each for each in ("done", "refused") if not names(here / each)}
        ws.close()
        if not died:
            assert moment > 5
            return
    pytest.fail("it never came through")


def _open_in(folder: Path) -> Workspace:
    return open_workspace(make_workspace(folder))


# --- files that are not whole ----------------------------------------------------------------------------------------


def test_a_half_written_file_waits_and_leaves_no_trace(opened: Open, tmp_path: Path) -> None:
    """Pass after pass it is left alone; finished, it is taken in whole."""
    ws = opened()
    whole = ubl(invoice("A"))
    path = tmp_path / "inbox" / "A.xml"
    for size in (0, 1, 200, len(whole) - 10):
        path.write_bytes(whole[:size])
        assert {"A.xml": Fate.LATER} == scan(ws)
    assert (0, [], ["A.xml"]) == (blobs(tmp_path), rows(ws, t.intake), names(tmp_path / "inbox"))
    path.write_bytes(whole)
    assert {"A.xml": Fate.DONE} == scan(ws)
    assert {"A": "draft"} == states(ws)


@pytest.mark.parametrize("name", ["truncated.xml", "truncated.pdf", "empty.xml"])
def test_a_file_that_nobody_finishes_is_refused(opened: Open, tmp_path: Path, name: str) -> None:
    """After a minute it is not being written any more but cut off."""
    ws = opened()
    path = tmp_path / "inbox" / name
    content = Path(__file__).parents[2] / "fixtures" / "invoices" / "refused" / name
    path.write_bytes(content.read_bytes())
    assert {name: Fate.LATER} == scan(ws)
    os.utime(path, (time.time() - 61, time.time() - 61))
    assert {name: Fate.REFUSED} == scan(ws)
    reason = (tmp_path / "refused" / f"{name}.reason.txt").read_text()
    assert "send" in reason
    assert [("refused", reason.rstrip("\n"))] == [(row.outcome, row.reason) for row in rows(ws, t.intake)]


def test_a_file_that_is_wrong_but_whole_is_refused_at_once(opened: Open, tmp_path: Path) -> None:
    """Only what ends in the middle is waited for."""
    ws = opened()
    (tmp_path / "inbox" / "page.html").write_bytes(b"<html><body>Sign in</body></html>")
    assert {"page.html": Fate.REFUSED} == scan(ws)


# --- one file and the others -----------------------------------------------------------------------------------------


def test_a_file_that_breaks_the_reader_stops_no_other(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It stays in the inbox and the log says why; those after it are taken in."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"))
    known = work.read_bytes

    def reading(content: bytes, name: str) -> object:
        if name == "A.xml":
            raise RecursionError("maximum recursion depth exceeded")
        return known(content, name)

    monkeypatch.setattr(work, "read_bytes", reading)
    assert {"A.xml": Fate.LATER, "B.xml": Fate.DONE, "C.xml": Fate.DONE} == scan(ws)
    assert "taking in A.xml failed" in caplog.text
    assert ["A.xml"] == names(tmp_path / "inbox")


def test_a_database_that_is_gone_leaves_every_file_where_it_is(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass ends; nothing is refused for it."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B"))

    def gone(*_args: object, **_more: object) -> admit.Received:
        raise StoreError("hub.db: the disk is full")

    monkeypatch.setattr(admit, "receive", gone)
    with pytest.raises(StoreError):
        scan(ws)
    assert ["A.xml", "B.xml"] == names(tmp_path / "inbox")


def test_a_stop_ends_the_scan_between_two_files(opened: Open, tmp_path: Path) -> None:
    """A full inbox does not delay a stop."""
    ws = opened()
    drop(tmp_path, *cascadia("A", "B", "C"))
    for _ in work.scan(ws, "inbox", quiet=0):
        ws.cancel.set()
    assert 2 == len(names(tmp_path / "inbox"))


def test_hostile_names_reach_ledger_and_log_harmless(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No line break, terminal control or half character of a name goes further than the folder."""
    ws = opened()
    caplog.set_level("INFO")
    for n, raw in enumerate((b"a\nFORGED entry.xml", b"\x1b[2Jb.xml", b"c\xe4.xml", "d\u202elmx.xml".encode())):
        (tmp_path / "inbox" / os.fsdecode(raw)).write_bytes(ubl(invoice(f"N{n}")) if n % 2 else b"<html/>")
    assert 4 == len(scan(ws))
    assert all(row.name.isprintable() for row in rows(ws, t.intake))
    assert all(row.source_name.isprintable() for row in rows(ws, t.revision))
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_a_pdf_with_a_line_break_in_its_name_is_taken_in(opened: Open, tmp_path: Path) -> None:
    """The name of the file is also the name of the attachment that it becomes."""
    ws = opened()
    pdf = Path(__file__).parents[2] / "fixtures" / "invoices" / "RV-26-1006.pdf"
    (tmp_path / "inbox" / "scan\n1.pdf").write_bytes(pdf.read_bytes())
    assert [Fate.DONE] == list(scan(ws).values())


# --- what is written down --------------------------------------------------------------------------------------------


def test_every_file_that_was_handled_is_written_down(opened: Open, tmp_path: Path) -> None:
    """Received, repeated under another name, refused; a file that could not be moved is no second one."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    scan(ws)
    drop(tmp_path, *cascadia("A"))  # the same file again
    (tmp_path / "inbox" / "B.xml").write_bytes(ubl(invoice("A")))
    (tmp_path / "inbox" / "C.xml").write_bytes(ubl(other_content(invoice("A"))))
    (tmp_path / "inbox" / "D.xml").write_bytes(b"<html/>")
    scan(ws)
    written = [(row.name, row.outcome, row.revision_id is None) for row in rows(ws, t.intake)]
    assert [("A.xml", "received", False), ("B.xml", "repeated", False)] == written[:2]
    assert [("C.xml", "received", False), ("D.xml", "refused", True)] == written[2:]
    assert all(ws.blobs.path(row.sha256).exists() for row in rows(ws, t.intake))
    assert ["A.xml", "B.xml", "C.xml"] == names(tmp_path / "done")


def test_a_file_that_cannot_be_moved_is_taken_in_once(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is handled at every pass and written down at the first."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))

    def held(_path: Path, _target: Path) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(folders.Path, "rename", held)
    assert [{"A.xml": Fate.LATER}] * 3 == [scan(ws) for _ in range(3)]
    assert [1, 1, 1, 1] == [len(rows(ws, table)) for table in ONE_EACH]
