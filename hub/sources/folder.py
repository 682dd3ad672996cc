"""A watched folder: `inbox` ─► `done` or `refused`, with `NAME.reason.txt` beside each refused file.

A file leaves the inbox only after what it holds is durable elsewhere, so a crash at any point means that it is handled
again, and handling the same content again changes nothing. Files still being written are left alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hub.sources.pdf import MAX_BYTES

QUIET_SECONDS = 2.0  # a file that changed more recently may still be written
UNFINISHED_SECONDS = 60.0  # a file that ends in the middle gets so long to be finished before it is refused
_PARTIAL = (".part", ".partial", ".tmp", ".filepart", ".crdownload", "~")
_NAME_BYTES = 200  # file systems allow 255; the rest is for a suffix


class Fate(StrEnum):
    """Where a file goes."""

    DONE = "done"
    REFUSED = "refused"
    LATER = "later"  # it is not whole yet


@dataclass(frozen=True)
class Handled:
    """What became of one file, and why if it was refused."""

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


Handle = Callable[[str, bytes, bool], Handled]
# Takes name, content, and whether the file is so young that it may be unfinished.


def waiting(folder: Folder, *, quiet: float = QUIET_SECONDS) -> list[Path]:
    """The files that can be handled now, oldest first; the folders are made if they are missing."""
    for place in (folder.inbox, folder.done, folder.refused):
        place.mkdir(parents=True, exist_ok=True)
    found = []
    for entry in os.scandir(folder.inbox):
        if entry.name.startswith(".") or entry.name.endswith(_PARTIAL) or entry.is_dir(follow_symlinks=False):
            continue
        changed = entry.stat(follow_symlinks=False).st_mtime
        # A time in the future is a wrong clock somewhere, and no reason to wait for it.
        if not 0 <= time.time() - changed < quiet:
            found.append((changed, entry.name))
    return [folder.inbox / name for _, name in sorted(found)]


def take(folder: Folder, handle: Handle, *, quiet: float = QUIET_SECONDS) -> Iterator[tuple[str, Handled]]:
    """Handle every file that can be, and move each where it belongs; what happened to it, by name."""
    for path in waiting(folder, quiet=quiet):
        handled = _take_one(folder, path, handle)
        if handled is not None:
            yield path.name, handled


def _take_one(folder: Folder, path: Path, handle: Handle) -> Handled | None:
    try:
        before = path.lstat()
        if not stat.S_ISREG(before.st_mode):
            handled = Handled(Fate.REFUSED, "this is a link or a device, not a file; drop the file itself")
        elif before.st_size > MAX_BYTES:
            handled = Handled(Fate.REFUSED, f"the file has {before.st_size:,} bytes; the most is {MAX_BYTES:,}")
        else:
            content = path.read_bytes()
            after = path.lstat()
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return None
            young = 0 <= time.time() - after.st_mtime < UNFINISHED_SECONDS
            handled = handle(path.name, content, young)
    except FileNotFoundError:
        return None  # somebody took it away
    except OSError as error:
        handled = Handled(Fate.LATER, f"cannot be read: {error.strerror}; see its permissions")
    if handled.fate is Fate.DONE:
        _move(path, folder.done)
    elif handled.fate is Fate.REFUSED:
        _refuse(path, folder.refused, handled.reason)
    return handled


def _refuse(path: Path, refused: Path, reason: str) -> None:
    """The reason first, so that no file ever stands among the refused without one."""
    target = _free(path, refused)
    note = target.with_name(f"{target.name}.reason.txt")
    with note.open("w", encoding="utf-8") as stream:
        stream.write(reason.rstrip() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    path.rename(target)
    _sync(refused, path.parent)


def _move(path: Path, folder: Path) -> None:
    path.rename(_free(path, folder))
    _sync(folder, path.parent)


def _free(path: Path, folder: Path) -> Path:
    """A name in `folder` that is free, or is taken by the same content."""
    name = path.name
    if len(os.fsencode(name)) > _NAME_BYTES:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:12]
        name = f"{os.fsdecode(os.fsencode(name)[:150])}-{digest}{path.suffix[:10]}"
    target = folder / name
    if not target.exists() or (path.is_file() and not path.is_symlink() and _same(path, target)):
        return target
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    for number in range(1, 10_000):
        other = folder / f"{target.stem}.{stamp}-{number}{target.suffix}"
        if not other.exists():
            return other
    raise FileExistsError(f"{folder} has ten thousand files called {name}; clear it out")


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _sync(*folders: Path) -> None:
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
