"""What the address of a list says: its filters, where it continues, and the addresses that lead on from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from hub.store.database import Database
from hub.view import FilterError, Filters, Names, read_filters

_SINGLE = ("q", "entity", "customer", "account", "kind", "move", "outcome", "after")
_MANY = ("submission", "stage")
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Query:
    """A list's address, read."""

    filters: Filters
    after: int | None
    given: Mapping[str, tuple[str, ...]]  # what is not empty

    @classmethod
    def read(cls, db: Database, names: Names, items: Sequence[tuple[str, str]]) -> Query:
        """The address's query; raises FilterError for a name or a value that is not known."""
        given: dict[str, tuple[str, ...]] = {}
        for name, value in items:
            if name not in (*_SINGLE, *_MANY):
                raise FilterError(f"{name[:80]!r} is no filter; known: {', '.join((*_SINGLE, *_MANY))}")
            if value.strip():
                given[name] = (*given.get(name, ()), value.strip()) if name in _MANY else (value.strip(),)
        one = {name: given[name][0] for name in _SINGLE if name in given}
        filters = read_filters(
            db,
            names,
            text=one.get("q"),
            entity=one.get("entity"),
            customer=one.get("customer"),
            account=one.get("account"),
            kind=one.get("kind"),
            whose_move=one.get("move"),
            outcome=one.get("outcome"),
            submissions=given.get("submission", ()),
            stages=given.get("stage", ()),
        )
        return cls(filters, _after(one.get("after")), given)

    def link(self, **changes: object) -> str:
        """The same list with these parts changed (None takes one away), from its beginning unless `after` is given."""
        parts: dict[str, object] = {name: value for name, value in self.given.items() if name != "after"} | changes
        pairs = [
            (name, str(value))
            for name in (*_SINGLE, *_MANY)
            if (values := parts.get(name)) is not None
            for value in (values if isinstance(values, tuple) else (values,))
        ]
        return f"/?{urlencode(pairs)}" if pairs else "/"

    def without(self, name: str, value: str) -> str:
        """The same list without this one value of a filter."""
        return self.link(**{name: tuple(other for other in self.given.get(name, ()) if other != value) or None})

    @property
    def chips(self) -> list[tuple[str, str]]:
        """Name and value of each filter that is set, but for the search and the tab."""
        return [
            (name, value)
            for name in ("entity", "customer", "account", "kind", "outcome", *_MANY)
            for value in self.given.get(name, ())
        ]


def _after(value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 10 and int(value) <= _LARGEST_ID):  # noqa: PLR2004 - digits of _LARGEST_ID
        raise FilterError(f"after: {value[:80]!r} is no place in the list; begin at its first page")
    return int(value)
