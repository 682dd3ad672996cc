"""`python -m connectors` prints what each connector can do, read from the code, as README.md shows it."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import connectors
from hub.contract.connector import Capabilities, Connector, Context, Deadline, Tokens

_URL = "https://portal.example/"
_ARIBA = {"url": _URL, "identity": "AN00000000000-T", "shared_secret": "-", "deployment_mode": "test"}
_REST = {"url": _URL, "token_url": _URL, "client_id": "-", "client_secret": "-", "api_key": "-"}

# Settings under which a connector shows what it can do: a row each. A connector without any fails the tests.
EXAMPLES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "ariba": {"cXML": _ARIBA, "cXML and REST": {**_ARIBA, "rest": _REST}},
    "manual": {"task sheet": {"portal": "-"}},
}

_COLUMNS = "connector | road | documents | attachments | accepts | lookup | settles | statuses | stages | at once"


class _Idle:
    """A hub that lends nothing: capabilities come from the settings alone."""

    def wait(self, verb: str) -> None:
        raise AssertionError(verb)

    def keep(self, name: str, content: bytes) -> None:
        raise AssertionError(name, content)

    def read(self, sha256: str) -> bytes:
        raise AssertionError(sha256)


def names() -> tuple[str, ...]:
    """Every connector's name: the packages here that have a `connector` module."""
    packages = (found.name for found in pkgutil.iter_modules(connectors.__path__) if found.ispkg)
    return tuple(sorted(name for name in packages if importlib.util.find_spec(f"connectors.{name}.connector")))


def table() -> str:
    """The feature matrix, in Markdown."""
    rows = [_COLUMNS, " | ".join("---" for _ in _COLUMNS.split(" | ")), *_rows()]
    return "".join(f"| {row} |\n" for row in rows)


def _rows() -> Iterator[str]:
    for name in names():
        kind: type[Connector] = importlib.import_module(f"connectors.{name}.connector").Connector
        for road, settings in EXAMPLES[name].items():
            idle = _Idle()
            context = Context(idle, idle, idle, Tokens(), threading.Event(), Deadline(0), lambda: None)
            connector = kind(kind.Settings.model_validate(settings), context)
            yield " | ".join((name, road, *_cells(connector.capabilities)))
            connector.close()


def _cells(can: Capabilities) -> tuple[str, ...]:
    return (
        ", ".join(sorted(can.documents)),
        "yes" if can.attachments else "no",
        "by a person" if can.people else {"sync": "in its reply", "async": "later"}[can.intake],
        can.lookup,
        f"{can.settles_within.total_seconds() / 60:g} min",
        "yes" if can.statuses else "no",
        ", ".join(sorted(can.stages)) or "none",
        str(can.max_parallel),
    )


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201 - it is what the command is for
