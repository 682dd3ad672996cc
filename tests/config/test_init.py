from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

from hub.config import Config, load_config
from hub.delivery.registry import settings_model
from hub.durable import write_whole
from hub.hubfile import json_schema
from hub.scaffold import CannotInit, init


def load(workspace: Path) -> Config:
    return load_config(workspace, settings_model)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_new_workspace_loads_as_written(tmp_path: Path) -> None:
    """A newcomer can run at once: the inbox exists and a manual connection stands ready."""
    workspace = tmp_path / "new" / "hub"
    made = init(workspace)
    assert everything(workspace) == [
        "hub.yaml",
        "inbox",
        "mappings",
        "mappings/schema.json",
        "rules",
        "rules/schema.json",
        "schemas",
        "schemas/hub.json",
    ]
    assert made[-1] == workspace / "hub.yaml"
    config = load(workspace)
    assert (list(config.connections), list(config.entities)) == (["manual"], [])
    assert config.sources["inbox"].folder == workspace / "inbox"
    assert json.loads((workspace / "schemas" / "hub.json").read_text(encoding="utf-8")) == json_schema()


def test_the_examples_of_the_file_are_true(tmp_path: Path) -> None:
    """With the marks of the examples taken away, the file still loads and leads from a company to a customer."""
    init(tmp_path)
    file = tmp_path / "hub.yaml"
    file.write_text(re.sub(r"^#\|", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
    config = load(tmp_path)
    [account] = config.accounts.values()
    assert (account.entity, account.customer, account.connection) == ("example-us", "example-buyer", "manual")
    assert config.connections["manual"].limits.per_day == 5000


def test_the_values_of_the_file_are_the_defaults(tmp_path: Path) -> None:
    """What the file shows is what holds where nothing is written."""
    (tmp_path / "written").mkdir()
    (tmp_path / "empty").mkdir()
    init(tmp_path / "written")
    (tmp_path / "empty" / "hub.yaml").touch()
    written, empty = load(tmp_path / "written").written, load(tmp_path / "empty").written
    assert {**dict(written), "connections": {}} == dict(empty)


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    """A second init changes nothing and says so."""
    (tmp_path / "hub.yaml").write_text("time_zone: UTC\n", encoding="utf-8")
    with pytest.raises(CannotInit, match=r"hub.yaml exists already; nothing was changed"):
        init(tmp_path)
    assert everything(tmp_path) == ["hub.yaml"]
    assert (tmp_path / "hub.yaml").read_text(encoding="utf-8") == "time_zone: UTC\n"


def test_other_files_of_a_folder_stay(tmp_path: Path) -> None:
    """A folder that is in use, and its inbox, can become a workspace."""
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "waiting.xml").touch()
    init(tmp_path)
    assert (tmp_path / "inbox" / "waiting.xml").exists()


@pytest.mark.parametrize("obstacle", ["inbox", "schemas"])
def test_nothing_is_left_half_done(tmp_path: Path, obstacle: str) -> None:
    """Whatever stands in the way is named, and what was made before it is gone again."""
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / obstacle).touch()
    with pytest.raises(CannotInit, match=rf"{obstacle}: is a file, but a folder is needed here; nothing was made"):
        init(tmp_path / "ws")
    assert everything(tmp_path) == ["ws", f"ws/{obstacle}"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last file cannot be written, the first are taken away."""
    calls = iter(range(100))

    def full(_handle: int) -> None:
        if next(calls) > 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CannotInit, match="No space left on device; nothing was made"):
        init(tmp_path / "a" / "b")
    assert everything(tmp_path) == []


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the old content and no scraps; one that works is fsynced, its folder too."""
    file = tmp_path / "list.csv"
    write_whole(file, b"old")
    synced: list[bool] = []

    def fsync(handle: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(handle).st_mode))

    monkeypatch.setattr("os.fsync", fsync)
    write_whole(file, b"new")
    assert (file.read_bytes(), synced) == (b"new", [False, True])
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        write_whole(file, b"newer")
    assert (file.read_bytes(), everything(tmp_path)) == (b"new", ["list.csv"])
