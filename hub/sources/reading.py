"""Reading files for a look, without storing anything: what `hub read` shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from hub.contract.invoice import Money
from hub.sources.read import Refused, read


@dataclass(frozen=True)
class Reading:
    """What became of reading one file."""

    file: str
    outcome: str  # read or refused
    number: str | None = None
    kind: str | None = None
    currency: str | None = None
    total: str | None = None  # with tax, BT-112
    reason: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """For `--json`."""
        return asdict(self)

    def as_line(self) -> str:
        """For people."""
        if self.outcome == "refused":
            return f"refused  {self.reason}"
        return f"read     {self.file}: {self.kind} {self.number}, {self.total} {self.currency}"


def read_paths(paths: Iterable[Path]) -> Iterator[Reading]:
    """Read each file, and each file in a folder (not in folders within it)."""
    for path in paths:
        if path.is_dir():
            yield from map(_read_one, sorted(file for file in path.iterdir() if file.is_file()))
        else:
            yield _read_one(path)


def _read_one(path: Path) -> Reading:
    try:
        invoice = read(path).invoice
    except Refused as refused:
        return Reading(str(path), "refused", reason=str(refused))
    except OSError as error:
        return Reading(str(path), "refused", reason=f"{path}: cannot be read: {error.strerror}")
    total: Money = invoice.total
    return Reading(
        str(path), "read", number=invoice.number, kind=invoice.kind, currency=total.currency, total=f"{total.amount:f}"
    )
