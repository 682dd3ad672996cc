from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.config import Config
from hub.yamlsource import SourceError

Loaded = Callable[..., Config]
Faults = Callable[..., list[str]]
CANARY = "Canary&Bird=9"

CLOUD = """\
connections:
  cloud:
    connector: cloud
    settings:
      identity: AN01000000001-T
      shared_secret: {written}
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_SECRET", CANARY)
    monkeypatch.setenv("EMPTY_SECRET", "")
    monkeypatch.setenv("SHORT_SECRET", "abc")
    monkeypatch.delenv("NO_SECRET", raising=False)


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "cloud.secret"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_secret_is_taken_from_the_environment_or_a_file(loaded: Loaded, tmp_path: Path) -> None:
    """Both give the connector the secret, masked."""
    secret_file(tmp_path, b"file-canary\n")
    for reference, expected in (("env:CLOUD_SECRET", CANARY), ("file:cloud.secret", "file-canary")):
        config = loaded(CLOUD.format(written=reference))
        settings = config.connections["cloud"].settings
        assert expected == settings.shared_secret.get_secret_value()
        assert (expected,) == config.secrets()


def test_secrets_are_found_wherever_a_model_has_one(loaded: Loaded, tmp_path: Path) -> None:
    """Nested, optional, in lists and in mappings: each reference is resolved, nothing else is touched."""
    secret_file(tmp_path, b"file-canary")
    config = loaded(
        CLOUD.format(written="env:CLOUD_SECRET")
        + "      proxy: {url: 'env:NOT_A_SECRET', password: file:cloud.secret}\n"
        + "      keys: [env:CLOUD_SECRET, file:cloud.secret]\n"
        + "      tokens: {a: file:cloud.secret}\n"
    )
    settings = config.connections["cloud"].settings
    assert settings.proxy.url == "env:NOT_A_SECRET"
    revealed = [
        settings.proxy.password,
        *settings.keys,
        settings.tokens["a"],
    ]
    assert [one.get_secret_value() for one in revealed] == ["file-canary", CANARY, "file-canary", "file-canary"]
    assert config.secrets() == (CANARY, "file-canary")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (CANARY, "a secret stands in clear text here; write where it lies instead: env:NAME"),
        (f"[{CANARY}]", "a secret stands in clear text here"),
        (f"env:{CANARY}", "what follows env: is not the name of an environment variable"),
        ("env:NO_SECRET", "the environment variable NO_SECRET is not set; set it"),
        ("env:EMPTY_SECRET", "the environment variable EMPTY_SECRET is empty; set it"),
        ("env:SHORT_SECRET", "the secret behind env:SHORT_SECRET is shorter than 6 characters; use a longer one"),
        ("file:gone.secret", "the secret file gone.secret cannot be read: No such file or directory"),
        ("file:.", "the secret file . is no plain file"),
    ],
)
def test_what_is_no_secret_is_told_and_never_shown(faults: Faults, tmp_path: Path, written: str, expected: str) -> None:
    """The message names the key's line, the variable or the file, and never the value."""
    [told] = faults(CLOUD.format(written=written))
    assert f"hub.yaml:6:7: connections.cloud.settings.shared_secret: {expected}" in told.replace(
        str(tmp_path), "."
    ).replace("./gone", "gone")
    assert CANARY not in told


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (b"file-canary", 0o640, "is open to others (mode 0640); run: chmod 600 "),
        (b"file-canary", 0o604, "is open to others (mode 0604); run: chmod 600 "),
        (b"\n", 0o600, "is empty"),
        (b"file-canary\xff", 0o600, "is not UTF-8 text"),
        (b"file-canary" * 10_000, 0o600, "is larger than 65,536 bytes"),
    ],
)
def test_a_secret_file_is_only_ours(faults: Faults, tmp_path: Path, content: bytes, mode: int, expected: str) -> None:
    """A file that others can read, or that holds no secret, is refused by name."""
    secret_file(tmp_path, content, mode)
    [told] = faults(CLOUD.format(written="file:cloud.secret"))
    assert told.startswith("hub.yaml:6:7: connections.cloud.settings.shared_secret: the secret file ")
    assert expected in told
    assert "canary" not in told


def test_other_faults_of_the_settings_come_with_a_missing_secret(faults: Faults) -> None:
    """A missing secret hides nothing else."""
    text = CLOUD.format(written="env:NO_SECRET").replace("identity:", "idntity:") + "      deployment: tset\n"
    assert faults(text) == [
        "hub.yaml:4:5: connections.cloud.settings: the key 'identity' is missing",
        "hub.yaml:5:7: unknown key 'idntity'; did you mean 'identity'?",
        "hub.yaml:6:7: connections.cloud.settings.shared_secret: the environment variable NO_SECRET is not set; set it",
        "hub.yaml:7:7: connections.cloud.settings.deployment: must be test or production (it says 'tset')",
    ]


def test_settings_that_are_missing_are_told_at_their_connection(faults: Faults) -> None:
    """A connection without settings names what its connector needs."""
    assert faults("connections:\n  cloud: {connector: cloud}") == [
        "hub.yaml:2:3: connections.cloud: the key 'settings.identity' is missing",
        "hub.yaml:2:3: connections.cloud: the key 'settings.shared_secret' is missing",
    ]


def test_a_connector_that_tells_its_secret_is_silenced(loaded: Loaded) -> None:
    """Neither the error nor its traceback shows what a connector's own check put into its message."""
    with pytest.raises(SourceError) as caught:
        loaded(CLOUD.format(written="env:CLOUD_SECRET").replace("AN01000000001-T", "indiscreet"))
    assert "cannot sign in with [secret]" in str(caught.value)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_nothing_that_is_shown_holds_a_secret(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repr and str of the configuration and of its parts are safe to log."""
    monkeypatch.setenv("DATABASE", "postgresql://hub:data-canary@db.example/hub")
    config = loaded("database: env:DATABASE\n" + CLOUD.format(written="env:CLOUD_SECRET"))
    shown = "".join(map(repr, (config, config.connections, config.connections["cloud"].settings, config.database_url)))
    shown += f"{config} {config.connections['cloud'].settings} {config.database_url} {config.written!r}"
    assert [canary for canary in (CANARY, "data-canary") if canary in shown] == []
    assert config.secrets() == (
        "postgresql+psycopg://hub:data-canary@db.example/hub",
        "postgresql://hub:data-canary@db.example/hub",
        CANARY,
        "data-canary",
    )


@pytest.mark.parametrize(
    ("written", "variable", "expected"),
    [
        (
            f"postgresql://hub:{CANARY}@h/db",
            "",
            "a password stands in clear text here; write the whole URL as env:NAME",
        ),
        (f"postgresql://h/db?password={CANARY}", "", "a password stands in clear text here"),
        (f"mysql://hub:{CANARY}@h/db", "", "a password stands in clear text here"),
        (f"postgresql://hub:{CANARY}@h:port/db", "", "is no file name for SQLite and no PostgreSQL URL"),
        ("env:DATABASE", f"oracle://hub:{CANARY}@h/db", "is no file name for SQLite and no PostgreSQL URL"),
        ("env:DATABASE", "postgresql://hub:abc@h/db", "the password is shorter than 6 characters"),
        ("env:NO_SECRET", "", "the environment variable NO_SECRET is not set; set it"),
    ],
)
def test_a_database_password_is_never_shown(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, written: str, variable: str, expected: str
) -> None:
    """Clear text, a wrong URL or a missing reference: told without the value."""
    monkeypatch.setenv("DATABASE", variable)
    [told] = faults(f"database: {written}")
    assert told.startswith(f"hub.yaml:1:1: database: {expected}")
    assert CANARY not in told


@pytest.mark.parametrize(
    "text",
    [
        f"connections:\n  cloud:\n    connector: cloud\n    settings:\n      shared_secret:{CANARY}\n",
        f"connections:\n  cloud:\n    connector: cloud\n    settings: {CANARY}\n",
        CLOUD.format(written=f"!{CANARY}"),
        CLOUD.format(written=f"&{CANARY} x"),
        CLOUD.format(written=f"'{CANARY}"),
        CLOUD.format(written=f"{{a: {CANARY}}}"),
        CLOUD.format(written=f"|\n        {CANARY}\n        {CANARY}"),
    ],
)
def test_a_secret_written_wrongly_is_not_repeated(faults: Faults, text: str) -> None:
    """Whatever slip put a secret into the file, no message spreads it."""
    told = faults(text)
    assert told
    assert [line for line in told if "Canary" in line] == []
