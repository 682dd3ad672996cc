from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import time
import tomllib
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from hub import doctor
from hub.config import PROJECT
from hub.doctor import Check, examine
from hub.scaffold import init


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A sound workspace, as `hub init` makes it."""
    init(tmp_path / "ws")
    return tmp_path / "ws"


def look(name: str, folder: Path | None) -> Check:
    [check] = [check for check in examine(folder) if check.name == name]
    return check


def test_a_sound_workspace_has_nothing_to_mend(workspace: Path) -> None:
    """Every check says yes, none asks for anything, and nothing is left behind."""
    before = sorted(workspace.rglob("*"))
    checks = examine(workspace)
    assert [check for check in checks if check.ok is not True or check.fix] == []
    assert [check.name for check in checks] == [
        "Python",
        "packages",
        "SQLite",
        "time zones",
        "disk space",
        "workspace",
        "clock",
        "configuration",
        "database",
        "armed",
        "folder inbox",
    ]
    assert before == sorted(workspace.rglob("*"))


def test_without_a_workspace_only_the_machine_is_looked_at() -> None:
    """No folder is guessed."""
    assert [check.name for check in examine(None)] == ["Python", "packages", "SQLite", "time zones"]


def test_every_dependency_is_looked_at() -> None:
    """The table of packages is that of pyproject.toml."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {re.split(r"[\[<>=~!]", dependency)[0] for dependency in project["dependencies"]}
    assert wanted == set(doctor.PACKAGES)
    assert project["requires-python"] == f">={'.'.join(map(str, doctor.PYTHON))}"


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and how to install it again."""
    monkeypatch.setitem(doctor.PACKAGES, "gone", "hub_has_no_such_module")
    check = look("packages", None)
    assert (check.ok, check.fix) == (False, "make clean setup")
    assert "gone (ModuleNotFoundError: No module named 'hub_has_no_such_module')" in check.says


@pytest.mark.parametrize(
    ("attribute", "value", "name", "fix"),
    [
        ("PYTHON", (9, 9), "Python", "install Python 9.9 or newer, then: make clean setup PYTHON=python9.9"),
        ("SQLITE", (9, 9), "SQLite", "use a Python that is built with SQLite 9.9 or newer, or a PostgreSQL database"),
    ],
)
def test_a_version_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, attribute: str, value: tuple[int, int], name: str, fix: str
) -> None:
    """The fix names the version."""
    monkeypatch.setattr(doctor, attribute, value)
    check = look(name, None)
    assert check.ok is False
    assert check.fix.startswith(fix)


def test_missing_time_zone_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without data every account's zone would be unknown."""

    def unknown(key: str) -> None:
        raise doctor.zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")

    monkeypatch.setattr("zoneinfo.ZoneInfo", unknown)
    check = look("time zones", None)
    assert (check.ok, check.fix) == (False, "make clean setup (it installs tzdata)")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """The fix is the command that makes one, quoted for the shell."""
    check = look("workspace", tmp_path / "my hub")
    assert (check.ok, check.fix) == (False, f"hub init '{tmp_path}/my hub'")


def test_a_folder_without_hub_yaml(tmp_path: Path) -> None:
    """The same command, and no check that would need a configuration."""
    check = look("configuration", tmp_path)
    assert (check.ok, check.fix) == (False, f"hub init {tmp_path}")
    assert "database" not in [check.name for check in examine(tmp_path)]


def test_a_faulty_configuration_names_its_lines(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults and missing secrets are told at their places."""
    monkeypatch.delenv("NO_SECRET", raising=False)
    (workspace / "hub.yaml").write_text("database: env:NO_SECRET\nrules: nowhere\n", encoding="utf-8")
    check = look("configuration", workspace)
    assert (check.ok, check.fix) == (False, "mend each place that is named")
    assert f"{workspace}/hub.yaml:1:1: database: the environment variable NO_SECRET is not set" in check.says
    assert f"{workspace}/hub.yaml:2:1: rules: the folder {workspace}/nowhere does not exist" in check.says


def test_a_full_disk(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a gigabyte is too little."""
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 500_000_000))
    check = look("disk space", workspace)
    assert (check.ok, check.says) == (False, f"0.5 GB free at {workspace}; 1 GB are wanted")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (
            OSError(22, "Invalid argument"),
            "put the workspace on a local disk with free space; the one of {} cannot take it",
        ),
        (
            PermissionError(13, "Permission denied"),
            "let the user who runs the hub read and write there: chmod u+rwx {}",
        ),
    ],
)
def test_a_disk_that_does_not_keep_a_file(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, fix: str
) -> None:
    """Writing and fsync are tried, not assumed."""

    def refuse(_handle: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", refuse)
    check = look("workspace", workspace)
    assert (check.ok, check.fix) == (False, fix.format(workspace))
    assert error.strerror in check.says


def test_a_file_system_without_wal(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says which journal it really uses."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: connect(":memory:"))
    check = look("database", workspace)
    assert check.ok is False
    assert check.fix.startswith(f"put the database on a local disk ({workspace}/hub.yaml:10)")


def test_a_clock_that_is_behind(workspace: Path) -> None:
    """A hub.yaml from tomorrow says that the clock is wrong."""
    tomorrow = time.time() + 86_400
    os.utime(workspace / "hub.yaml", (tomorrow, tomorrow))
    check = look("clock", workspace)
    assert (check.ok, check.fix) == (False, "set the clock by the network: timedatectl set-ntp true")
    assert re.fullmatch(rf"{workspace}/hub.yaml is 86,[34]\d\d s ahead of the clock", check.says)


def test_a_clock_that_cannot_be_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a trial file there is no answer, and none is made up."""

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)
    assert look("clock", workspace).ok is None


def test_a_database_that_is_damaged(workspace: Path) -> None:
    """A file that is no SQLite database is told, and how to go on."""
    (workspace / "hub.db").write_bytes(b"not a database at all, but long enough to look at" * 100)
    check = look("database", workspace)
    assert (check.ok, check.fix) == (False, "restore it from a backup, or correct its rights")
    assert "file is not a database" in check.says


def test_a_database_that_is_there(workspace: Path) -> None:
    """A plain connect, without changing it."""
    connection = sqlite3.connect(workspace / "hub.db")
    connection.execute("create table t (a)")
    connection.close()
    check = look("database", workspace)
    assert (check.ok, check.says) == (True, f"{workspace}/hub.db can be read; its folder allows WAL")


def test_a_database_in_a_folder_that_is_not_there(workspace: Path) -> None:
    """The fix is the line of hub.yaml."""
    (workspace / "hub.yaml").write_text("time_zone: UTC\ndatabase: gone/hub.db\n", encoding="utf-8")
    check = look("database", workspace)
    assert (check.ok, check.fix) == (False, f"correct the path at {workspace}/hub.yaml:2")


def test_a_server_that_does_not_answer(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is told, its password is not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("DATABASE", f"postgresql://hub:data-canary@127.0.0.1:{port}/hub")
    (workspace / "hub.yaml").write_text("database: env:DATABASE\n", encoding="utf-8")
    check = look("database", workspace)
    assert (check.ok, check.fix) == (
        False,
        f"start the PostgreSQL server, or correct the address at {workspace}/hub.yaml:1",
    )
    assert "127.0.0.1" in check.says
    assert "data-canary" not in repr(examine(workspace))


def test_an_inbox_that_is_gone(workspace: Path) -> None:
    """Each watched folder is looked at by its key."""
    (workspace / "inbox").rmdir()
    check = look("folder inbox", workspace)
    assert (check.ok, check.fix) == (False, f"mkdir -p {workspace}/inbox")


def test_an_inbox_that_cannot_be_written(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were taken in must be moved away, so reading alone is not enough."""
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    check = look("folder inbox", workspace)
    assert (check.ok, check.fix) == (False, f"chmod u+rwx {workspace}/inbox")
