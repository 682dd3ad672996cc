"""`--live ACCOUNT`: the same class against a sandbox account of a real workspace; nothing is written to its ledger."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from conformance.desk import Desk
from conformance.stand import Held, Stand
from hub.config import load_config
from hub.delivery import registry
from hub.yamlsource import SourceError


class LiveStand(Stand):
    """A real portal: it cannot be told anything, and keeps what it gets."""

    def __init__(self, of: type[Stand]) -> None:
        self.connector = of.connector  # type: ignore[misc]
        self.name = of.name  # type: ignore[misc]
        self.run = f"{dt.datetime.now(dt.UTC):%y%m%d%H%M%S}"  # part of every number: none is used twice
        self.invoice = of.invoice  # type: ignore[method-assign]
        self.is_sandbox = of.is_sandbox  # type: ignore[method-assign]

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        raise NotImplementedError
        yield

    def settings(self, *, timeout: float = 20) -> dict[str, Any]:
        raise NotImplementedError

    def hub_yaml(self) -> dict[str, Any]:
        raise NotImplementedError

    def account(self, *, unique: bool) -> str:
        raise NotImplementedError

    @classmethod
    def invoice(cls, *, unique: bool) -> dict[str, Any]:
        raise NotImplementedError

    def reset(self) -> None:
        """Nothing is forgotten there."""

    def held(self, number: str) -> list[Held]:
        raise NotImplementedError


def live_desk(of: type[Stand], account: str, workspace: str | None) -> Desk:
    """A desk at the portal of this account; skips where it is another connector's, fails where there is none."""
    if not workspace:
        pytest.fail("--live needs a workspace: --live-workspace FOLDER, or HUB_WORKSPACE")
    try:
        config = load_config(Path(workspace), registry.settings_model)
    except SourceError as error:
        pytest.fail(str(error))
    if account not in config.accounts:
        pytest.fail(f"{workspace} has no account {account!r}; there are {', '.join(sorted(config.accounts))}")
    connection = config.connections[config.accounts[account].connection]
    if connection.connector != of.name:
        pytest.skip(f"{account} is an account of {connection.connector}")
    return Desk(LiveStand(of), config, live_account=account)
