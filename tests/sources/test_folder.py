"""The watched folder: what is taken, what is left alone, and that no file is ever lost on the way."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.sources import folder as module
from hub.sources.folder import MAX_BYTES, Fate, Folder, Handled, take, waiting

DONE = Handled(Fate.DONE)
REFUSED = Handled(Fate.REFUSED, "line 3: this is no invoice; send another")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    found = Folder(tmp_path / "inbox")
    found.prepare()
    return found


def put(folder: Folder, name: str, content: bytes = b"<Invoice/>", *, age: float = 3600) -> Path:
    path = folder.inbox / name
    path.write_bytes(content)
    changed = time.time() - age
    os.utime(path, (changed, changed))
    return path


class Handler:
    """Notes what it is given, and answers the same to everything, or what `answers` says of a name."""

    def __init__(self, answer: Handled = DONE, **answers: Handled) -> None:
        self.answer = answer
        self.answers = answers
        self.seen: list[tuple[str, bytes, bool]] = []

    def __call__(self, name: str, content: bytes, young: bool) -> Handled:  # noqa: FBT001 - the folder's own form
        self.seen.append((name, content, young))
        return self.answers.get(name, self.answer)

    @property
    def contents(self) -> list[bytes]:
        return [content for _, content, _ in self.seen]


def taken(
    folder: Folder, handler: Callable[[str, bytes, bool], Handled], *, quiet: float = module.QUIET_SECONDS
) -> dict[str, Handled]:
    return dict(take(folder, handler, quiet=quiet))


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def everything(folder: Folder) -> list[bytes]:
    """The content of every file but the notes, wherever it is."""
    places = (folder.inbox, folder.done, folder.refused)
    files = (path for place in places for path in place.iterdir() if not path.name.endswith(".reason.txt"))
    return sorted(path.read_bytes() for path in files if path.is_file())


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_a_file_goes_where_its_fate_says(folder: Folder) -> None:
    """Handled to done, refused with its reason beside it, and what must wait stays."""
    for name in ("good.xml", "bad.xml", "half.xml"):
        put(folder, name, name.encode())
    later = Handled(Fate.LATER, "it ends in the middle")
    handler = Handler(**{"bad.xml": REFUSED, "half.xml": later})
    assert {"good.xml": DONE, "bad.xml": REFUSED, "half.xml": later} == taken(folder, handler)
    assert [["half.xml"], ["good.xml"], ["bad.xml", "bad.xml.reason.txt"]] == [
        names(folder.inbox),
        names(folder.done),
        names(folder.refused),
    ]
    assert f"{REFUSED.reason}\n" == (folder.refused / "bad.xml.reason.txt").read_text()


def test_the_oldest_comes_first(folder: Folder) -> None:
    """Files are handled in the order in which they were put there."""
    for name, age in (("b", 30), ("a", 20), ("c", 40)):
        put(folder, name, age=age)
    handler = Handler()
    taken(folder, handler)
    assert ["c", "b", "a"] == [name for name, _, _ in handler.seen]


def test_the_folders_are_made(tmp_path: Path) -> None:
    """A source whose folder does not exist yet is not an error."""
    assert [] == waiting(Folder(tmp_path / "deep" / "inbox"))
    assert ["done", "inbox", "refused"] == names(tmp_path / "deep")


@pytest.mark.parametrize(
    "name", [".hidden.xml", "a.part", "a.PART", "a.tmp", "a.xml.filepart", "a.crdownload", "a.xml~"]
)
def test_what_is_marked_as_not_meant_for_us_is_left_alone(folder: Folder, name: str) -> None:
    """Hidden files and the names that other programs give to what they still write."""
    put(folder, name)
    assert {} == taken(folder, Handler())
    assert [name] == names(folder.inbox)


def test_folders_inside_are_left_alone(folder: Folder) -> None:
    """Somebody's archive inside the inbox is no invoice."""
    (folder.inbox / "2026").mkdir()
    put(folder, "2026/a.xml")
    assert {} == taken(folder, Handler())
    assert ["2026"] == names(folder.inbox)


def test_an_empty_file_is_handled_like_any_other(folder: Folder) -> None:
    """Whether nothing is an invoice is not the folder's to say."""
    put(folder, "empty.xml", b"")
    handler = Handler()
    taken(folder, handler)
    assert [b""] == handler.contents


# --- files that are being written ------------------------------------------------------------------------------------


def test_a_file_that_changed_just_now_is_left_alone(folder: Folder) -> None:
    """It may still be written; once it is quiet it is handled."""
    path = put(folder, "a.xml", age=0.5)
    assert {} == taken(folder, Handler())
    os.utime(path, (time.time() - 5, time.time() - 5))
    assert {"a.xml": DONE} == taken(folder, Handler())


@pytest.mark.parametrize(("age", "young"), [(10, True), (59, True), (61, False), (-30, True), (-3600, False)])
def test_the_handler_is_told_whether_a_file_may_be_unfinished(folder: Folder, age: float, young: bool) -> None:  # noqa: FBT001
    """A minute on either side of our clock: another machine's clock may be ahead."""
    put(folder, "a.xml", age=age)
    handler = Handler()
    taken(folder, handler)
    assert [young] == [each for _, _, each in handler.seen]


def test_a_time_in_the_future_is_not_waited_for(folder: Folder) -> None:
    """A wrong clock somewhere must not hold an invoice for a year."""
    put(folder, "a.xml", age=-365 * 86400)
    assert {"a.xml": DONE} == taken(folder, Handler())


def test_a_file_that_grows_while_it_is_read_is_left_alone(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is not what it will be."""
    path = put(folder, "a.xml", b"<Inv")
    opened = os.open

    def open_and_grow(file: str | Path, flags: int) -> int:
        with path.open("ab") as stream:
            stream.write(b"oice/>")
        return opened(file, flags)

    handler = Handler()
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "open", open_and_grow)
        assert {} == taken(folder, handler)
    assert ([], ["a.xml"]) == (handler.seen, names(folder.inbox))


@pytest.mark.parametrize("fate", [DONE, REFUSED])
def test_a_file_that_grows_while_it_is_handled_stays_and_is_handled_whole(folder: Folder, fate: Handled) -> None:
    """The second half may come between reading and moving; the pass after that takes the whole."""
    path = put(folder, "a.xml", b"half")

    def finish(_name: str, content: bytes, _young: bool) -> Handled:  # noqa: FBT001
        if content == b"half":
            path.write_bytes(b"whole")
            os.utime(path, (1, 1))
        return fate

    assert {} == taken(folder, finish)
    assert [["a.xml"], [], []] == [names(folder.inbox), names(folder.done), names(folder.refused)]
    handler = Handler(fate)
    taken(folder, handler)
    assert ([b"whole"], []) == (handler.contents, names(folder.inbox))


def test_a_file_that_takes_the_place_of_one_like_it_is_told_apart(folder: Folder) -> None:
    """The same size and the same time make no same file."""
    path = put(folder, "a.xml", b"first")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)

    def replace(_name: str, content: bytes, _young: bool) -> Handled:  # noqa: FBT001
        if content == b"first":
            other = put(folder, "other.part", b"other")
            os.utime(other, ns=times)
            other.rename(path)
        return DONE

    assert {} == taken(folder, replace)
    handler = Handler()
    taken(folder, handler)
    assert ([b"other"], ["a.xml"]) == (handler.contents, names(folder.done))


@pytest.mark.parametrize("fate", [DONE, REFUSED])
def test_a_file_that_takes_anothers_place_in_the_last_moment_is_not_lost(
    folder: Folder, fate: Handled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced after the last look and before the move: it comes back, and the next pass handles it."""
    put(folder, "a.xml", b"first")
    free = module._free

    def free_and_replace(path: Path, where: Path) -> Path:
        found = free(path, where)
        if where != folder.inbox:
            put(folder, "incoming", b"second!").rename(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(module, "_free", free_and_replace)
        assert {} == taken(folder, Handler(fate))
    assert [["a.xml"], [], []] == [names(folder.inbox), names(folder.done), names(folder.refused)]
    handler = Handler(fate)
    taken(folder, handler)
    assert [b"second!"] == handler.contents


def test_a_file_that_is_taken_away_in_the_middle_is_nobodys_problem(folder: Folder) -> None:
    """Before it is read, while it is handled, or before it is moved: the others are handled all the same."""
    for name, age in (("a", 50), ("b", 40), ("c", 30)):
        put(folder, name, name.encode(), age=age)

    def handle(name: str, _content: bytes, _young: bool) -> Handled:  # noqa: FBT001
        if name == "a":
            (folder.inbox / "a").unlink()
            (folder.inbox / "b").unlink()
        return REFUSED if name == "a" else DONE

    assert {"a": REFUSED, "c": DONE} == taken(folder, handle)
    assert [[], ["c"], []] == [names(folder.inbox), names(folder.done), names(folder.refused)]


def test_a_file_that_goes_while_the_folder_is_listed_is_passed_over(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its name and its time somebody took it."""
    put(folder, "a")
    put(folder, "b")
    scandir = os.scandir

    class Listed:
        def __init__(self, path: Path) -> None:
            self.entries = list(scandir(path))

        def __enter__(self) -> list[os.DirEntry[str]]:
            (folder.inbox / "a").unlink()
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(module.os, "scandir", Listed)
    assert [folder.inbox / "b"] == waiting(folder)


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Rechnung Öl 2026.xml".encode(), "Rechnung Öl 2026.xml"),
        (b"two\nlines.xml", "two\ufffdlines.xml"),
        (b"\x1b[2Jwiped.xml", "\ufffd[2Jwiped.xml"),
        (b"latin-\xe4.xml", "latin-\ufffd.xml"),
        ("\u202elmx.a".encode(), "\ufffdlmx.a"),
        (b"%s%n{0}.xml", "%s%n{0}.xml"),
        (b"-rf", "-rf"),
    ],
)
@pytest.mark.parametrize("fate", [DONE, REFUSED])
def test_a_name_is_shown_harmless_and_kept_as_it_is(folder: Folder, raw: bytes, shown: str, fate: Handled) -> None:
    """The handler and the log get what can be printed; the file keeps its name."""
    put(folder, os.fsdecode(raw))
    handler = Handler(fate)
    assert {shown: fate} == taken(folder, handler)
    assert [shown] == [name for name, _, _ in handler.seen]
    home = folder.done if fate is DONE else folder.refused
    assert os.fsdecode(raw) in names(home)


@pytest.mark.parametrize("name", ["x" * 255, "x" * 251 + ".xml", "ü" * 127, "😀" * 63, "a." + "b" * 253])
def test_the_longest_names_find_a_place(folder: Folder, name: str) -> None:
    """255 bytes leave no room for a note's ending: the name is shortened, never cut within a character."""
    for content in (b"one", b"two"):
        put(folder, name, content)
        assert {name: REFUSED} == taken(folder, Handler(REFUSED))
    found = names(folder.refused)
    assert (4, 2) == (len(found), sum(each.endswith(".reason.txt") for each in found))
    assert [b"one", b"two"] == everything(folder)
    assert all(each.isprintable() for each in found)


def test_two_long_names_with_the_same_beginning_stay_two_files(folder: Folder) -> None:
    """What is cut off is told apart by its hash."""
    for end in "ab":
        put(folder, "x" * 254 + end, b"the same")
    taken(folder, Handler())
    assert 2 == len(names(folder.done))


# --- repeats ---------------------------------------------------------------------------------------------------------


def test_the_same_file_again_is_one_file_in_done(folder: Folder) -> None:
    """A copy of what stands there takes its place."""
    for _ in range(3):
        put(folder, "a.xml")
        assert {"a.xml": DONE} == taken(folder, Handler())
    assert [["a.xml"], []] == [names(folder.done), names(folder.inbox)]


@pytest.mark.parametrize("fate", [DONE, REFUSED])
def test_the_same_name_with_other_content_overwrites_nothing(folder: Folder, fate: Handled) -> None:
    """Each content is kept, each refused one with its reason."""
    contents = [b"one", b"two", b"three"]
    for content in contents:
        put(folder, "a.xml", content)
        taken(folder, Handler(fate))
    assert sorted(contents) == everything(folder)
    files = [name for name in names(folder.refused) if not name.endswith(".reason.txt")]
    assert {f"{name}.reason.txt" for name in files} <= set(names(folder.refused))


def test_a_second_name_of_a_file_in_done_leaves_the_inbox(folder: Folder) -> None:
    """Moving one hard link onto another of the same file would do nothing, for ever."""
    put(folder, "a.xml")
    taken(folder, Handler())
    os.link(folder.done / "a.xml", folder.inbox / "a.xml")
    taken(folder, Handler())
    assert ([], 2) == (names(folder.inbox), len(names(folder.done)))


def test_inboxes_beside_each_other_share_done_and_refused(tmp_path: Path) -> None:
    """Nothing of one is overwritten by the other."""
    for source in ("north", "south"):
        one = Folder(tmp_path / source)
        one.prepare()
        put(one, "a.xml", source.encode())
        taken(one, Handler())
    assert [b"north", b"south"] == sorted(path.read_bytes() for path in (tmp_path / "done").iterdir())


# --- what is no plain file -------------------------------------------------------------------------------------------


def test_a_link_is_refused_and_not_followed(folder: Folder, tmp_path: Path) -> None:
    """Neither its target's content nor its target's place is touched."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder.inbox / "a.xml").symlink_to(secret)
    (folder.inbox / "dangling.xml").symlink_to(tmp_path / "nothing")
    handler = Handler()
    found = taken(folder, handler, quiet=0)
    assert {"a.xml": Fate.REFUSED, "dangling.xml": Fate.REFUSED} == {name: each.fate for name, each in found.items()}
    assert ([], "secret") == (handler.seen, secret.read_text())
    assert "drop the file itself" in (folder.refused / "a.xml.reason.txt").read_text()
    assert (folder.refused / "a.xml").is_symlink()


def test_a_link_that_takes_a_files_place_is_not_followed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not in the moment between looking at a file and opening it."""
    path = put(folder, "a.xml")
    opened = os.open

    def open_a_link(file: str | Path, flags: int) -> int:
        path.unlink()
        path.symlink_to("/etc/hostname")
        return opened(file, flags)

    handler = Handler()
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "open", open_a_link)
        (found,) = taken(folder, handler).values()
    assert ([], Fate.LATER) == (handler.seen, found.fate)
    assert Fate.REFUSED == taken(folder, handler, quiet=0)["a.xml"].fate


def test_a_link_among_the_refused_is_not_written_through(folder: Folder, tmp_path: Path) -> None:
    """A file never lands where a link in our own folders points."""
    outside = tmp_path / "outside"
    (folder.refused / "a.xml").symlink_to(outside)
    (folder.refused / "b.xml.reason.txt").symlink_to(outside)
    for name in ("a.xml", "b.xml"):
        put(folder, name)
    taken(folder, Handler(REFUSED))
    assert not outside.exists()
    assert [] == names(folder.inbox)


def test_pipes_and_sockets_are_refused_and_never_waited_for(folder: Folder) -> None:
    """Opening a pipe to read would wait for somebody to write."""
    os.mkfifo(folder.inbox / "pipe.xml")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder.inbox / "socket.xml"))
        handler = Handler()
        found = {name: each.fate for name, each in taken(folder, handler, quiet=0).items()}
    assert {"pipe.xml": Fate.REFUSED, "socket.xml": Fate.REFUSED} == found
    assert ([], True) == (handler.seen, stat.S_ISFIFO((folder.refused / "pipe.xml").stat().st_mode))


def test_a_huge_file_is_refused_unread(folder: Folder) -> None:
    """Its size alone decides, before a byte of it is in memory."""
    path = put(folder, "a.xml", b"")
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES * 1000)
    os.utime(path, (1, 1))
    handler = Handler()
    (found,) = taken(folder, handler).values()
    assert ([], Fate.REFUSED) == (handler.seen, found.fate)
    assert f"the most is {MAX_BYTES:,}" in found.reason
    path = put(folder, "a.xml", b"again")  # the name is taken by the huge one, which is not read to compare
    taken(folder, Handler(REFUSED))
    assert [] == names(folder.inbox)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not hold root back")
def test_a_file_that_cannot_be_read_stays_and_says_so(folder: Folder) -> None:
    """The others are handled; this one waits for its permissions."""
    put(folder, "a.xml").chmod(0)
    put(folder, "b.xml")
    found = taken(folder, Handler())
    assert (Fate.LATER, DONE) == (found["a.xml"].fate, found["b.xml"])
    assert "see its permissions" in found["a.xml"].reason


def test_a_file_that_cannot_be_moved_stays_and_stops_no_other(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's file in a sticky folder, say."""
    rename = Path.rename

    def held(path: Path, target: Path) -> Path:
        if path.name == "a.xml":
            raise PermissionError(1, "Operation not permitted")
        return rename(path, target)

    put(folder, "a.xml", age=7200)
    put(folder, "b.xml")
    monkeypatch.setattr(Path, "rename", held)
    found = taken(folder, Handler())
    assert (Fate.LATER, DONE) == (found["a.xml"].fate, found["b.xml"])
    assert "cannot be moved" in found["a.xml"].reason
    assert ["a.xml"] == names(folder.inbox)


def test_folders_on_two_file_systems_are_an_error_before_anything_is_handled(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move between two file systems is a copy that can be cut in the middle."""
    put(folder, "a.xml")
    known = Path.stat

    def elsewhere(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = known(path, follow_symlinks=follow_symlinks)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if path == folder.done else found

    monkeypatch.setattr(Path, "stat", elsewhere)
    handler = Handler()
    with pytest.raises(OSError, match="another file system"):
        taken(folder, handler)
    assert [] == handler.seen


# --- a death at any point --------------------------------------------------------------------------------------------


class DeathError(BaseException):
    """The process ends here."""


DURABLE = ((module.Path, "rename"), (module, "write_whole"), (module, "sync_folder"), (module.Path, "unlink"))


def die_at(moment: int, patch: pytest.MonkeyPatch, *, before: bool) -> None:
    """Let the process end before or after its so many-th change on disk."""
    count = 0

    def mortal(act: Callable[..., object]) -> Callable[..., object]:
        def do(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count == moment and before:
                raise DeathError
            made = act(*args, **kwargs)
            if count == moment:
                raise DeathError
            return made

        return do

    for home, name in DURABLE:
        patch.setattr(home, name, mortal(getattr(home, name)))


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("fates", [(DONE, DONE), (REFUSED, REFUSED), (REFUSED, DONE), (DONE, REFUSED)])
def test_a_death_at_any_point_loses_no_file_and_leaves_no_reason_without_its_file(
    tmp_path: Path,
    fates: tuple[Handled, Handled],
    before: bool,  # noqa: FBT001
) -> None:
    """Whatever it was to be before and is to be after: it stands in one place, and only a refused one with a note."""
    for moment in range(1, 20):
        folder = Folder(tmp_path / str(moment) / "inbox")
        folder.prepare()
        put(folder, "a.xml", b"content")
        with pytest.MonkeyPatch.context() as patch:
            die_at(moment, patch, before=before)
            try:
                taken(folder, Handler(fates[0]))
            except DeathError:
                died = True
            else:
                died = False
        assert [b"content"] == everything(folder)
        in_inbox = names(folder.inbox)
        taken(folder, Handler(fates[1]))
        assert ([b"content"], []) == (everything(folder), names(folder.inbox))
        settled = fates[1] if in_inbox else fates[0]
        expected = {Fate.DONE: [["a.xml"], []], Fate.REFUSED: [[], ["a.xml", "a.xml.reason.txt"]]}
        assert expected[settled.fate] == [names(folder.done), names(folder.refused)]
        if not died:
            return
    pytest.fail("it never came through")


def test_a_reason_that_a_death_left_behind_takes_no_name(folder: Folder) -> None:
    """The file it was written for gets its own name, and its reason is that of the last time."""
    (folder.refused / "a.xml.reason.txt").write_text("from before\n")
    put(folder, "a.xml")
    taken(folder, Handler(REFUSED))
    assert ["a.xml", "a.xml.reason.txt"] == names(folder.refused)
    assert f"{REFUSED.reason}\n" == (folder.refused / "a.xml.reason.txt").read_text()


def test_a_file_called_like_a_reason_is_not_taken_for_one(folder: Folder) -> None:
    """Refused files whose names end like notes are overwritten by no note, and no note by them."""
    for name in ("a.xml.reason.txt", "a.xml", "a.xml.reason.txt.reason.txt"):
        put(folder, name, name.encode())
        taken(folder, Handler(REFUSED))
    kept = [path.read_bytes() for path in folder.refused.iterdir() if path.read_text() != f"{REFUSED.reason}\n"]
    assert sorted([b"a.xml.reason.txt", b"a.xml", b"a.xml.reason.txt.reason.txt"]) == sorted(kept)
    assert 6 == len(names(folder.refused))
    put(folder, "a.xml", b"good")
    taken(folder, Handler(DONE))
    assert 6 == len(names(folder.refused))


def test_a_reason_in_any_letters_can_be_written(folder: Folder) -> None:
    """What cannot be UTF-8 is escaped; a reason must never keep a file from its place."""
    put(folder, "a.xml")
    taken(folder, Handler(Handled(Fate.REFUSED, "Öl \udce4 €")))
    assert "Öl \\udce4 €\n" == (folder.refused / "a.xml.reason.txt").read_text(encoding="utf-8")


def test_what_the_handler_raises_leaves_everything_where_it_is(folder: Folder) -> None:
    """The file stays in the inbox for the next pass."""
    put(folder, "a.xml")

    def broken(_name: str, _content: bytes, _young: bool) -> Handled:  # noqa: FBT001
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError):
        taken(folder, broken)
    assert [["a.xml"], [], []] == [names(folder.inbox), names(folder.done), names(folder.refused)]
