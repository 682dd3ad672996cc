"""The table of crash points is the code's own: what is written durably has a name, and nothing is written without."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.crash import ROOT
from tests.crash.points import UNMARKED, points, points_in, sources, unmarked, unmarked_in


def test_every_durable_write_has_a_literal_name_of_its_own() -> None:
    """A name that is computed or stands twice would end the making of the table."""
    names = [point.name for point in points()]
    assert len(set(names)) == len(names) > 35


@pytest.mark.parametrize("module", ["deliver", "collect", "reconcile", "admit", "check", "tasks", "folder", "work"])
def test_every_part_of_the_road_has_points(module: str) -> None:
    """The road out, the road back and the way in all stand in the table."""
    assert any(point.file.endswith(f"/{module}.py") for point in points())


def test_no_file_changes_without_a_marker() -> None:
    """Behind every change of a file on an invoice's road stands a marker, on every way through its function."""
    assert [] == unmarked()


def test_what_needs_no_marker_is_still_there() -> None:
    """An excuse for code that is gone must go too."""
    told = dict(sources("hub"))
    for file, function in UNMARKED:
        assert f"def {function.rpartition('.')[2]}(" in told[file], (file, function)


FOLDER = ROOT / "hub" / "sources" / "folder.py"
DELIVER = ROOT / "hub" / "delivery" / "deliver.py"


@pytest.mark.parametrize("name", ["folder.note", "folder.moved", "folder.back", "folder.there", "folder.gone"])
def test_a_marker_that_is_taken_away_is_missed(name: str) -> None:
    """Each marker of the folder source is needed."""
    text = FOLDER.read_text(encoding="utf-8")
    without = text.replace(f'durable.landed("{name}")', "pass")
    assert text != without
    assert [] != unmarked_in(without, "hub/sources/folder.py")


@pytest.mark.parametrize(
    "write",
    [
        "write_whole(Path('x'), b'')",
        "Path('x').write_bytes(b'')",
        "Path('x').rename('y')",
        "Path('x').replace('y')",
        "os.replace('x', 'y')",
        "os.fsync(1)",
        "open('x', 'ab').write(b'')",
        "Path('x').open(mode='w').close()",
        "os.open('x', os.O_WRONLY)",
        "Path('x').unlink()",
        "shutil.move('x', 'y')",
        "self.ws.db.engine.begin()",
        "[write_whole(path, b'') for path in paths]",
    ],
)
def test_a_new_write_without_a_marker_is_found(write: str) -> None:
    """Between the attempt's row and the wire, with another marker further on."""
    [told] = unmarked_in(after_the_attempt_began(write), "hub/delivery/deliver.py")
    assert "_Run." in told
    marked = after_the_attempt_began(write, "durable.landed('deliver.new')")
    assert [] == unmarked_in(marked, "hub/delivery/deliver.py")
    assert "deliver.new" in {point.name for point in points_in(marked, "hub/delivery/deliver.py")}


def after_the_attempt_began(*statements: str) -> str:
    """The source of deliver.py with these statements behind the write of the attempt's row."""
    tree = ast.parse(DELIVER.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        for at, statement in enumerate(body if isinstance(body, list) else []):
            if isinstance(statement, ast.With) and "deliver.begin" in ast.unparse(statement.items[0]):
                body[at + 1 : at + 1] = ast.parse("\n".join(statements)).body
                return ast.unparse(tree)
    raise AssertionError("no attempt begins in deliver.py")


def test_a_marker_on_one_way_only_is_not_enough() -> None:
    """Each way through a function is looked at by itself."""
    text = "def f(a):\n    write_whole(a, b'')\n    if a:\n        durable.landed('x')\n"
    assert 1 == len(unmarked_in(text, "x.py"))
    assert [] == unmarked_in(text + "    else:\n        durable.landed('x')\n", "x.py")
    tried = (
        "def f(a):\n    try:\n        write_whole(a, b'')\n    finally:\n        a.unlink()\n    durable.landed('x')\n"
    )
    assert 1 == len(unmarked_in(tried, "x.py"))


@pytest.mark.parametrize(
    "text",
    [
        "def f(ws, name):\n    with ws.db.writing(name) as tx:\n        pass\n",
        "def f(ws):\n    with ws.db.writing('a'):\n        pass\n    with ws.db.writing('a'):\n        pass\n",
        "def f():\n    durable.landed('a')\n\ndef g():\n    durable.landed('a')\n",
    ],
)
def test_a_name_that_is_no_name_of_its_own_is_an_error(text: str) -> None:
    """Two writes under one name would be one point, and one of them would never be tried."""
    with pytest.raises(SyntaxError):
        points_in(text, "hub/x.py")


def test_the_table_can_be_printed() -> None:
    """`python -m tests.crash` shows each point and where it stands."""
    done = subprocess.run([sys.executable, "-m", "tests.crash"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [point.name for point in points()] == [line.split("  ")[0] for line in done.stdout.splitlines()]
