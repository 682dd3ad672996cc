"""Workspaces with scripted portals, open for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scripted

from hub.delivery.workspace import Workspace, open_workspace

Open = Callable[..., Workspace]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open the test's workspace; again and again is the same folder, as after a restart."""
    scripted.SCRIPTS.clear()
    scripted.install(monkeypatch)
    made: list[Workspace] = []

    def open_(**settings: str) -> Workspace:
        if settings or not (tmp_path / "hub.yaml").exists():
            scripted.make_workspace(tmp_path, **settings)
        made.append(open_workspace(tmp_path))
        return made[-1]

    yield open_
    for ws in made:
        ws.close()
