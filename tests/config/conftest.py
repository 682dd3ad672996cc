"""Workspaces to write a hub.yaml into, and connectors' settings to judge it by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from hub.config import Config, load_config
from hub.contract.connector import Settings
from hub.yamlsource import SourceError


class Proxy(BaseModel):
    url: str = ""
    password: SecretStr | None = None


class CloudSettings(Settings):
    """A connector's settings with secrets in every kind of place."""

    identity: str
    shared_secret: SecretStr
    proxy: Proxy | None = None
    keys: tuple[SecretStr, ...] = ()
    tokens: dict[str, SecretStr] = Field(default_factory=dict)
    deployment: str = "test"

    @field_validator("deployment")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("test", "production"):
            raise ValueError("must be test or production")
        return value

    @model_validator(mode="after")
    def _indiscreet(self) -> CloudSettings:
        if self.identity == "indiscreet":
            raise ValueError(f"cannot sign in with {self.shared_secret.get_secret_value()}")
        return self


class ManualSettings(Settings):
    """A connector that needs nothing."""


_MODELS: dict[str, type[BaseModel]] = {"cloud": CloudSettings, "manual": ManualSettings}


def settings_model(name: str) -> type[BaseModel]:
    if name not in _MODELS:
        raise LookupError(f"there is no connector {name!r}; known are cloud, manual")
    return _MODELS[name]


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Config]:
    """Load a hub.yaml of this text, with this customer list beside it."""

    def load(text: str, customers: str | None = None) -> Config:
        (tmp_path / "hub.yaml").write_text(text, encoding="utf-8")
        if customers is not None:
            (tmp_path / "customers.csv").write_text(customers, encoding="utf-8")
        return load_config(tmp_path, settings_model)

    return load


@pytest.fixture
def faults(tmp_path: Path, loaded: Callable[..., Config]) -> Callable[..., list[str]]:
    """What loading says of a hub.yaml that is wrong, with paths relative to the workspace."""

    def told(text: str, customers: str | None = None) -> list[str]:
        with pytest.raises(SourceError) as caught:
            loaded(text, customers)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return told
