"""What a benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One figure; `against` and `ratio` where it was compared with something in the same run."""

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None

    def as_json(self) -> dict[str, str | float]:
        """Without what was not compared."""
        fields = {"name": self.name, "value": round(self.value, 4), "unit": self.unit, "against": self.against}
        ratio = None if self.ratio is None else round(self.ratio, 4)
        return {key: value for key, value in {**fields, "ratio": ratio}.items() if value is not None}


def table(results: Sequence[Result]) -> str:
    """For people."""
    lines = [f"{'benchmark':<26}{'value':>12}  {'unit':<14}{'ratio':>7}  against"]
    for one in results:
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        lines.append(f"{one.name:<26}{one.value:>12,.1f}  {one.unit:<14}{ratio:>7}  {one.against or ''}".rstrip())
    return "\n".join(lines)
