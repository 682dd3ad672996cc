"""A finding: one thing about an invoice that a person should know before it goes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What a finding does."""

    BLOCK = "block"  # holds the invoice
    WARN = "warn"  # is shown, and the invoice goes on


@dataclass(frozen=True)
class Finding:
    """What is wrong in a clerk's words, where, and how to mend it."""

    rule: str  # the id of the rule, or of the hub's own check: route, mapping, document …
    severity: Severity
    message: str
    fix: str = ""
    field: str = ""  # a path in the invoice, as in lines[2].order_line
    value: str = ""
    place: str = ""  # file:line of the rule or mapping that asks for it
