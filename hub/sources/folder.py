"""A watched folder: `inbox` ─► `done` or `refused`, with `NAME.reason.txt` beside each refused file.

Both stand beside the inbox, so that inboxes with one parent share them; nothing in them is ever overwritten by other
content. A file leaves the inbox only after what it holds is durable elsewhere: a crash at any point means that it is
handled again, and handling the same content again changes nothing. Files still being written are left alone, and so
are folders and what a leading dot or an ending such as `.part` marks as not meant for us.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hub import durable
from hub.durable import sync_folder, write_whole
from hub.sources import json, pdf

MAX_BYTES = max(pdf.MAX_BYTES, json.MAX_BYTES)
QUIET_SECONDS = 2.0  # a file that changed more recently may still be written
UNFINISHED_SECONDS = 60.0  # a file that ends in the middle gets so long to be finished before it is refused
_PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload", "~")
_NOTE = ".reason.txt"
_NAME_BYTES = 200  # file systems allow 255; the rest is for a suffix
_ONE_AT_A_TIME = threading.Lock()  # who looks for a free name has it until the file stands there


class Fate(StrEnum):
    """Where a file goes."""

    DONE = "done"
    REFUSED = "refused"
    LATER = "later"  # it stays: it is not whole yet, or cannot be handled now


@dataclass(frozen=True)
class Handled:
    """What became of one file, and why if it did not go to `done`."""

    fate: Fate
    reason: str = ""


@dataclass(frozen=True)
class Folder:
    """The three folders of one source."""

    inbox: Path

    @property
    def done(self) -> Path:
        """Beside the inbox."""
        return self.inbox.parent / "done"

    @property
    def refused(self) -> Path:
        """Beside the inbox."""
        return self.inbox.parent / "refused"

    def prepare(self) -> None:
        """Make what is missing; OSError where a file could not be moved out of the inbox in one step."""
        for place in (self.inbox, self.done, self.refused):
            place.mkdir(parents=True, exist_ok=True)
        home = self.inbox.stat().st_dev
        for place in (self.done, self.refused):
            if place.stat().st_dev != home:
                told = "is on another file system than its inbox; make the inbox a folder inside that file system"
                raise OSError(errno.EXDEV, told, str(place))


Handle = Callable[[str, bytes, bool], Handled]
# Takes the name as it can be shown, the content, and whether the file is so young that it may be unfinished.


def waiting(folder: Folder, *, quiet: float = QUIET_SECONDS) -> list[Path]:
    """The files that can be handled now, oldest first; the folders are made if they are missing. Raises OSError."""
    folder.prepare()
    found = []
    with os.scandir(folder.inbox) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower().endswith(_PARTIAL):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    continue
                changed = entry.stat(follow_symlinks=False).st_mtime
            except FileNotFoundError:
                continue  # somebody took it away
            if not _is_younger(changed, quiet):
                found.append((changed, entry.name))
    return [folder.inbox / name for _, name in sorted(found)]


def _is_younger(changed: float, seconds: float) -> bool:
    """Whether a time is that near: a little ahead is a clock that is not ours; far ahead it says nothing of age."""
    return abs(time.time() - changed) < seconds


def take(folder: Folder, handle: Handle, *, quiet: float = QUIET_SECONDS) -> Iterator[tuple[str, Handled]]:
    """Handle every file that can be, and move each where it belongs; what happened to it, by name as it can be shown.

    What `handle` raises ends the pass and leaves that file and the rest where they are.
    """
    for path in waiting(folder, quiet=quiet):
        name = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in path.name)
        try:
            before = path.lstat()
            found = _look(path, before)
        except FileNotFoundError:
            continue  # somebody took it away
        except OSError as error:
            yield name, Handled(Fate.LATER, f"cannot be read: {error.strerror}; see its permissions")
            continue
        if found is None:
            continue  # it is being written
        young = _is_younger(before.st_mtime, UNFINISHED_SECONDS)
        handled = found if isinstance(found, Handled) else handle(name, found, young)
        settled = handled if handled.fate is Fate.LATER else _settle(folder, path, before, handled)
        if settled is not None:
            yield name, settled


def _look(path: Path, before: os.stat_result) -> bytes | Handled | None:
    """The content of a file, why nobody will read it, or None where it changes while it is read."""
    if not stat.S_ISREG(before.st_mode):
        return Handled(Fate.REFUSED, "this is a link or a device, not a file; drop the file itself")
    if before.st_size > MAX_BYTES:
        return Handled(Fate.REFUSED, f"the file has {before.st_size:,} bytes; the most is {MAX_BYTES:,}")
    # A link or a pipe may have taken its place since: it is neither followed nor waited for.
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:  # noqa: PTH123 - a descriptor
        content = stream.read(before.st_size + 1) if _same_file(os.fstat(stream.fileno()), before) else b""
        unchanged = _same_file(os.fstat(stream.fileno()), before) and len(content) == before.st_size
    return content if unchanged else None


def _same_file(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino) and _unchanged(one, other)


def _unchanged(one: os.stat_result, other: os.stat_result) -> bool:
    # Without the inode: some network file systems give a file another one when it is moved.
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _settle(folder: Folder, path: Path, before: os.stat_result, handled: Handled) -> Handled | None:
    """Move a file where it belongs; None where it is not the file that was handled: the next pass handles it."""
    home = folder.refused if handled.fate is Fate.REFUSED else folder.done
    note = None
    try:
        with _ONE_AT_A_TIME:
            if not _same_file(path.lstat(), before):
                return None
            target = _free(path, home)
            if home == folder.refused:  # before the file, so that none ever stands there without its reason
                note = _note_of(target)
                write_whole(note, f"{handled.reason.rstrip()}\n".encode(errors="backslashreplace"))
                durable.landed("folder.note")
            path.rename(target)
            durable.landed("folder.moved")
            if not _unchanged(target.lstat(), before):  # another took its place in the last moment: back with it
                target.rename(_free(path, folder.inbox))
                durable.landed("folder.back")
                _forget(note)
                return None
            if home == folder.done:
                _forget(_stale_note(folder.refused / _fitting(path)))
        sync_folder(home)
        durable.landed("folder.there")
        sync_folder(path.parent)
        durable.landed("folder.gone")
    except FileNotFoundError:  # somebody took it away; what it held is safe, or was not wanted
        _forget(note)
    except OSError as error:
        return Handled(Fate.LATER, f"cannot be moved to {home}: {error.strerror}; see its permissions")
    return handled


def _note_of(path: Path) -> Path:
    return path.with_name(path.name + _NOTE)


def _stale_note(path: Path) -> Path | None:
    """The note of a file that is not there: a crash came between the two. A refused file of that name is no note."""
    note = _note_of(path)
    stale = not os.path.lexists(path) and os.path.lexists(note) and not os.path.lexists(_note_of(note))
    return note if stale else None


def _forget(note: Path | None) -> None:
    if note is not None:
        note.unlink(missing_ok=True)


def _free(path: Path, folder: Path) -> Path:
    """A name in `folder` that is free, with its note's, or is taken by the same content."""
    target = folder / _fitting(path)
    if _is_free(target) or (os.path.lexists(target) and _same_content(path, target)):
        return target
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for number in range(1, 10_000):
        other = folder / f"{target.stem}.{stamp}-{number}{target.suffix}"
        if _is_free(other):
            return other
    raise FileExistsError(errno.EEXIST, f"has ten thousand files called {target.name}; clear it out", str(folder))


def _fitting(path: Path) -> str:
    """The file's name, shortened where no suffix would fit behind it."""
    whole = os.fsencode(path.name)
    if len(whole) <= _NAME_BYTES:
        return path.name
    digest = hashlib.sha256(whole).hexdigest()[:12]
    return f"{_first_bytes(path.stem, 140)}-{digest}{_first_bytes(path.suffix, 20)}"


def _first_bytes(text: str, most: int) -> str:
    """As many whole characters as fit."""
    return os.fsencode(text)[:most].decode(errors="ignore")


def _is_free(target: Path) -> bool:
    return not os.path.lexists(target) and (not os.path.lexists(_note_of(target)) or _stale_note(target) is not None)


def _same_content(one: Path, other: Path) -> bool:
    here, there = one.lstat(), other.lstat()
    if not stat.S_ISREG(here.st_mode) or not stat.S_ISREG(there.st_mode) or here.st_size != there.st_size:
        return False
    # Two names of one file are no copy: moving one onto the other would leave both.
    return here.st_ino != there.st_ino and here.st_size <= MAX_BYTES and one.read_bytes() == other.read_bytes()
