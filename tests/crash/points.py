"""The crash points, read from the code: every place behind which something has become durable.

A ledger write is `Database.writing("name")`, and says its name to `hub.durable.landed` when it is committed; a file
write is followed by `durable.landed("name")`. The archive's one marker stands for as many points as there are
functions that put something there, for what is known already differs between them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
ARCHIVED = "store.blob"
_PUTS = ("put", "put_all")
_ARCHIVES = ("blobs", "archive")  # `ws.blobs.put(...)`, `self.ws.archive.put(...)`
_ROAD = ("hub/delivery", "hub/engine", "hub/sources", "hub/store")  # where an invoice's files are written
_FORWARDS = {("hub/store/database.py", "Database.writing")}  # hands on the name that it was given

# Changes of files that need no marker, and why.
UNMARKED = {
    (
        "hub/delivery/passes.py",
        "_make",
    ): "the log of requests is the rate gate's memory, and may be lost with the machine",
    ("hub/delivery/slots.py", "FileLocks._lock"): "the file is empty; the lock on it is the system's",
    ("hub/delivery/slots.py", "SessionLocks._open"): "a session for locks, that writes nothing",
    ("hub/engine/local.py", "alone"): "who holds the lock is told to people; the lock itself is the system's",
    ("hub/delivery/marks.py", "_locked"): "it makes no file, and what is appended to this one has a marker",
    ("hub/store/blobs.py", "Blobs._make_folder"): "an empty folder says nothing; the file in it has a marker",
    ("hub/sources/folder.py", "_forget"): "a note without its file is stale, and is seen to be so",
}


@dataclass(frozen=True)
class Point:
    """One place behind which the process may die."""

    name: str  # as `place` tells it at run time
    file: str
    function: str
    line: int


@dataclass(frozen=True)
class _Seen:
    """One call, in the order in which the calls of a function stand."""

    kind: str  # marker; change, open or sync of a file; other: a ledger write or the wire, which end it without one
    what: str
    line: int


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Path and text of each module in these folders, migrations left out: they run inside `store.migrate`."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in name and "/simulators/" not in name:
                yield name, path.read_text(encoding="utf-8")


@cache
def points() -> tuple[Point, ...]:
    """Every crash point of the hub, in the order of files and lines."""
    found: dict[str, Point] = {}
    for file, text in sources("hub"):
        for point in points_in(text, file):
            if point.name in found:
                raise SyntaxError(f"{file}:{point.line}: {point.name!r} stands in {found[point.name].file} already")
            found[point.name] = point
    return tuple(point for point in found.values() if point.name != ARCHIVED)


def points_in(text: str, file: str) -> list[Point]:
    """The points of one module; raises SyntaxError for a name that is no literal."""
    found: dict[str, Point] = {}
    for function, node in _functions(ast.parse(text)):
        for call in _calls(node):
            name = _name_of(call, file, function)
            if name is not None:
                known = found.get(name)
                if known is not None and (known.function != function or _last_word(call.func) == "writing"):
                    raise SyntaxError(f"{file}:{call.lineno}: {name!r} stands in {known.function} already")
                found.setdefault(name, Point(name, file, function, call.lineno))
    return list(found.values())


def _name_of(call: ast.Call, file: str, function: str) -> str | None:
    """What landed says after this call; None if it is no durable write."""
    last = _last_word(call.func)
    if last in ("writing", "landed"):
        first = call.args[0] if call.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return first.value
        if (file, function) in _FORWARDS:
            return None
        raise SyntaxError(f"{file}:{call.lineno}: give {last} a literal name of its own")
    if last in _PUTS and isinstance(call.func, ast.Attribute) and _last_word(call.func.value) in _ARCHIVES:
        return None if function == "Archive.put" else f"{ARCHIVED} in {Path(file).stem}.{function}"
    return None


def place(name: str, frame: FrameType | None = None) -> str:
    """The crash point at which the process is now, by what has just landed and who put it there."""
    if name != ARCHIVED:
        return name
    frame = frame or sys._getframe(1)
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT / "hub") and not file.is_relative_to(ROOT / "hub" / "store"):
            function = frame.f_code.co_qualname.split(".<locals>")[0]
            if function != "Archive.put" and file.name != "durable.py":
                return f"{ARCHIVED} in {file.stem}.{function}"
        frame = frame.f_back
    return name


def unmarked() -> list[str]:
    """Every change of a file on an invoice's road that no marker follows, before the next change or at all."""
    return [told for file, text in sources(*_ROAD) for told in unmarked_in(text, file)]


def unmarked_in(text: str, file: str) -> list[str]:
    """The same of one module."""
    found: list[str] = []
    for function, node in _functions(ast.parse(text)):
        if (file, function) not in UNMARKED:
            walk = _Walk(file, function)
            walk.through(node.body, frozenset((None,)))
            found += sorted(walk.found)
    return found


_Next = frozenset["_Seen | None"]  # what may come next; None: the function ends


class _Walk:
    """Goes through a function backwards, so that of each change it is known what comes next on every way."""

    def __init__(self, file: str, function: str) -> None:
        self.file = file
        self.function = function
        self.found: set[str] = set()

    def through(self, block: list[ast.stmt], after: _Next) -> _Next:
        """What comes first in this block, where `after` comes behind it."""
        for statement in reversed(block):
            after = self.one(statement, after)
        return after

    def one(self, statement: ast.stmt, after: _Next) -> _Next:
        if isinstance(statement, ast.Return | ast.Raise):
            after = frozenset((None,))
        inner = [block for name in ("body", "orelse", "finalbody") if (block := getattr(statement, name, None))]
        inner += [handler.body for handler in getattr(statement, "handlers", ())]
        inner += [case.body for case in getattr(statement, "cases", ())]
        if isinstance(statement, ast.Try):
            behind = self.through(statement.finalbody, after)
            sure = self.through(statement.body, self.through(statement.orelse, behind))
            after = sure.union(*(self.through(handler.body, behind) for handler in statement.handlers))
        elif isinstance(statement, ast.With | ast.FunctionDef):
            after = self.through(statement.body, after)
        elif inner:
            around = after if isinstance(statement, ast.If | ast.Match) else after | self.through(inner[0], after)
            ways = [self.through(block, around) for block in inner]
            whole = isinstance(statement, ast.If) and statement.orelse
            after = frozenset().union(*ways, () if whole else around)
        nested = {call for block in inner for each in block for call in _calls(each)}
        for call in reversed(_calls(statement)):
            one = None if call in nested else _seen(call, self.file)
            if one is not None:
                self.judge(one, after)
                after = frozenset((one,))
        return after

    def judge(self, one: _Seen, after: _Next) -> None:
        """A marker must follow a change, and a sync may stand between opening a file and its marker."""
        good = {"marker", "sync"} if one.kind == "open" else {"marker"}
        if one.kind not in ("marker", "other") and any(each is None or each.kind not in good for each in after):
            self.found.add(f"{self.file}:{one.line}: {self.function}: {one.what} and no durable.landed behind it")


_MODULES = {"os", "shutil"}
_SYNCS = {"fsync", "fdatasync"}
_CHANGES = {
    "write_whole", "sync_folder", "write_text", "write_bytes", "touch", "rename", "unlink", "symlink_to", "hardlink_to",
    "link", "symlink", "remove", "truncate", "ftruncate", "copy", "copy2", "copyfile", "copytree", "move", "rmtree",
}  # fmt: skip
_OF_MODULES_ONLY = {"link", "symlink", "remove", "truncate", "copy", "move"}  # as methods these are another's words


def _seen(call: ast.Call, file: str) -> _Seen | None:
    last = _last_word(call.func)
    of = _last_word(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    method = isinstance(call.func, ast.Attribute)
    # A text's `replace` takes two, and a dataclass's is no method.
    moves = last == "replace" and method and (of == "os" or (len(call.args) == 1 and not call.keywords))
    changes = last in _CHANGES and (last not in _OF_MODULES_ONLY or of in _MODULES)
    past = "engine" in (last, of) and not file.startswith("hub/store/")  # of Database.writing
    kinds = {
        "marker": last == "landed",
        "other": last == "writing" or (last, of) == ("submit", "connector"),
        "sync": last in _SYNCS,
        "open": last == "open" and _writes(call),
        "change": moves or changes or past,
    }
    kind = next((kind for kind, holds in kinds.items() if holds), None)
    return None if kind is None else _Seen(kind, ast.unparse(call.func), call.lineno)


def _writes(call: ast.Call) -> bool:
    """Whether this opens a file to write to it."""
    modes = [one.value for one in (*call.args, *(k.value for k in call.keywords)) if isinstance(one, ast.Constant)]
    flags = {_last_word(one) for one in ast.walk(call)}
    return any(
        isinstance(mode, str) and set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes
    ) or bool(flags & {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"})


def _last_word(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Each function and method by its name, with what is defined inside it."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{each.name}", each
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node


def _calls(node: ast.AST) -> list[ast.Call]:
    """The calls of a function in the order in which they end, so that an argument comes before what it is given to."""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    return sorted(calls, key=lambda call: (call.end_lineno or 0, call.end_col_offset or 0))
