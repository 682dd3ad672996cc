from __future__ import annotations

import hashlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "store")


def files(blobs: Blobs) -> list[Path]:
    return sorted(path for path in blobs.folder.rglob("*") if path.is_file())


class Disk:
    """What was made durable, and in which order, against the moment of the rename."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        real_fsync, real_replace = os.fsync, Path.replace

        def fsync(handle: int) -> None:
            where = Path(f"/proc/self/fd/{handle}").readlink()
            kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
            self.log.append(f"{kind} {where.name}" if kind == "folder" else kind)
            real_fsync(handle)

        def replace(path: Path, target: Path) -> Path:
            self.log.append("rename")
            return real_replace(path, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replace)


def test_bytes_and_name_are_durable_in_that_order(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders first, then the file's bytes, then its name, then the folder that holds the name."""
    disk = Disk(monkeypatch)
    sha256 = blobs.put(b"an invoice")
    inner = sha256[:2]
    assert ["folder store", f"folder {blobs.folder.parent.name}", "file", "rename", f"folder {inner}"] == disk.log


def test_what_is_there_already_is_made_durable_too(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stored it may have died before its name was."""
    sha256 = blobs.put(b"an invoice")
    disk = Disk(monkeypatch)
    assert (sha256, [f"folder {sha256[:2]}"]) == (blobs.put(b"an invoice"), disk.log)
    assert 1 == len(files(blobs))


def test_bytes_come_back_as_they_were(blobs: Blobs) -> None:
    """Under their SHA-256, however large, and empty ones too."""
    for content in (b"", b"x", bytes(range(256)) * 4096):
        sha256 = blobs.put(content)
        assert (hashlib.sha256(content).hexdigest(), content) == (sha256, blobs.read(sha256))


def test_damage_is_found_and_healed_by_storing_it_again(blobs: Blobs) -> None:
    """Damaged bytes are never given out; the same bytes put once more replace them."""
    sha256 = blobs.put(b"an invoice")
    blobs.path(sha256).write_bytes(b"an INVOICE")
    with pytest.raises(ValueError, match="is damaged: its content has another hash"):
        blobs.read(sha256)
    blobs.put(b"an invoice")
    assert b"an invoice" == blobs.read(sha256)


def test_what_is_gone_is_not_found(blobs: Blobs) -> None:
    """FileNotFoundError, as the contract's attachments promise."""
    with pytest.raises(FileNotFoundError):
        blobs.read("0" * 64)


@pytest.mark.parametrize(
    "name",
    ["", "../../etc/passwd", "a" * 63, "a" * 65, "A" * 64, "/" + "a" * 63, "a" * 64 + "\n", "..", "a" * 62 + "/x"],
)
def test_only_a_hash_is_a_name(blobs: Blobs, name: str) -> None:
    """No path can be smuggled in."""
    for use in (blobs.read, blobs.path):
        with pytest.raises(ValueError, match="is no SHA-256"):
            use(name)


def test_a_failed_write_leaves_nothing(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle: no file under the name, and no half one beside it."""
    blobs.put(b"something else")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            blobs.put(b"an invoice")
    assert [b"something else"] == [path.read_bytes() for path in files(blobs)]
    assert b"an invoice" == blobs.read(blobs.put(b"an invoice"))


def test_threads_that_store_the_same_bytes_all_have_them(blobs: Blobs) -> None:
    """Whoever comes first: one file, and everyone can read it when his call returns."""
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def put(number: int) -> bytes:
        return blobs.read(blobs.put(contents[number % 4]))

    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(put, range(40)))
    assert [contents[number % 4] for number in range(40)] == came
    assert 4 == len(files(blobs))
