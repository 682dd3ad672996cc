"""The hub's own JSON: the invoice as the model has it, and beside it the bytes of its attachments.

Its schema is `invoice.schema.json`, written by `python -m hub.sources.json > hub/sources/invoice.schema.json`; a test
holds that it is current.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from pydantic import Base64Bytes, Field, ValidationError

from hub.contract.invoice import Invoice, Sha256
from hub.sources.attachments import MAX_ATTACHMENTS, harmless_name, link
from hub.sources.attachments import MAX_BYTES as MAX_ATTACHED
from hub.sources.refused import Problem, Refused, refusal
from hub.sources.terms import TERMS
from hub.sources.validated import problems_of

MAX_BYTES = 20_000_000
_MAX_PARTS = 500_000  # objects, and what stands in lists; 100,000 lines have about 400,000
_TOO_MANY = f"the document has more than {_MAX_PARTS:,} parts"
_EXACT_DIGITS = 15  # that a JSON number keeps in every reader; more belong into a string


class InvoiceFile(Invoice):
    """An invoice as a JSON file: the model's fields, and `blobs` with every attachment's bytes by their SHA-256."""

    blobs: dict[Sha256, Base64Bytes] = Field(default_factory=dict)


def read(content: bytes) -> tuple[Invoice, dict[str, bytes]]:
    """The invoice and its attachments' bytes. Raises Refused."""
    if len(content) > MAX_BYTES:
        raise Refused(f"the JSON has {len(content):,} bytes, more than the {MAX_BYTES:,} that are read")
    content = content.removeprefix(b"\xef\xbb\xbf")
    _checked_syntax(content)
    try:
        file = InvoiceFile.model_validate_json(content, strict=True)
    except ValidationError as wrong:
        raise refusal(problems_of(wrong, {})) from None
    if problems := _attachment_problems(file):
        raise refusal(problems)
    stated = {name: getattr(file, name) for name in file.model_fields_set - {"blobs"}}
    return Invoice.model_validate(stated), dict(file.blobs)


def _checked_syntax(content: bytes) -> None:
    """Refuse what JSON readers tell differently: a key that stands twice, a number too long to be exact, NaN."""
    try:
        stated = json.loads(content, object_pairs_hook=_Objects().once, parse_float=_exact, parse_constant=_exact)
    except json.JSONDecodeError as wrong:
        cut = not content.rstrip().endswith(b"}") or wrong.pos >= len(wrong.doc.rstrip())
        told = f"this is no well-formed JSON: {wrong.msg}{' (the file may be half written)' if cut else ''}"
        place = f"line {wrong.lineno}, column {wrong.colno}"
        raise Refused(f"{told}; send the whole file again", place, unfinished=cut) from None
    except UnicodeDecodeError as wrong:
        raise Refused("the text is not UTF-8; export it as UTF-8", unfinished=wrong.end >= len(content)) from None
    except RecursionError:
        raise Refused("the JSON nests too deeply; no invoice does") from None
    except ValueError as wrong:
        raise Refused(str(wrong)) from None
    if _listed(stated) > _MAX_PARTS:
        raise Refused(_TOO_MANY)


class _Objects:
    """Counts a document's objects while they are read, and sees to it that no key stands twice in one."""

    def __init__(self) -> None:
        self._number = 0

    def once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """The object. Raises ValueError for a repeated key, or one object too many."""
        self._number += 1
        if self._number > _MAX_PARTS:
            raise ValueError(_TOO_MANY)
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {key[:80]!r} stands twice in one object; keep one")
            found[key] = value
        return found


def _listed(stated: Any) -> int:
    """How many values stand in lists, counted until there are too many."""
    number, waiting = 0, [stated]
    while waiting and number <= _MAX_PARTS:
        part = waiting.pop()
        if isinstance(part, list):
            number += len(part)
            if number <= _MAX_PARTS:
                waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
    return number


def _exact(number: str) -> str:
    if sum(char.isdigit() for char in number.lower().partition("e")[0]) > _EXACT_DIGITS or not number[-1].isdigit():
        raise ValueError(f'the number {number[:40]} cannot be read exactly; write it as a string, as in "1234.50"')
    return number


def _attachment_problems(file: InvoiceFile) -> list[Problem]:
    """Each attachment must be a link or have its bytes; each blob must be what its name says."""
    problems = []
    size = sum(len(blob) for blob in file.blobs.values())
    if len(file.attachments) > MAX_ATTACHMENTS or size > MAX_ATTACHED:
        problems.append(Problem(f"more than {MAX_ATTACHMENTS} attachments or {MAX_ATTACHED:,} bytes of them", "blobs"))
    problems += [
        Problem("these bytes have another SHA-256; the file was changed or damaged", f"blobs.{sha256}")
        for sha256, blob in file.blobs.items()
        if hashlib.sha256(blob).hexdigest() != sha256
    ]
    for index, attachment in enumerate(file.attachments):
        place = f"attachments[{index}]"
        try:
            if harmless_name(attachment.name) != attachment.name:
                problems.append(Problem(f"the name {attachment.name!r} is no plain file name", place))
            if attachment.url is not None:
                link(attachment.url)
        except ValueError as wrong:
            problems.append(Problem(str(wrong), place))
        blob = file.blobs.get(attachment.sha256) if attachment.sha256 else b""
        if blob is None:
            problems.append(Problem(f"`blobs` lacks the bytes {attachment.sha256} of {attachment.name!r}", place))
        elif attachment.sha256 and attachment.size not in (None, len(blob)):
            problems.append(Problem(f"size says {attachment.size}, the bytes are {len(blob)}", place))
    named = {attachment.sha256 for attachment in file.attachments}
    problems += [Problem("no attachment names these bytes", f"blobs.{sha256}") for sha256 in file.blobs.keys() - named]
    return problems


def schema() -> str:
    """The JSON Schema of the format; each field says which EN 16931 term it holds."""
    made = InvoiceFile.model_json_schema()
    for field, (number, words) in TERMS.items():
        *groups, name = field.split(".")
        at: dict[str, Any] = made
        for group in groups:
            at = made["$defs"][_definition(at["properties"][group])]
        stated = at["properties"][name]
        said = stated.get("description")
        stated["description"] = f"{said}; {number} {words}" if said else f"{number} {words}"
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _definition(stated: dict[str, Any]) -> str:
    """The name of the definition that a property refers to, be it optional, a list or neither."""
    options = (stated, stated.get("items", {}), *stated.get("anyOf", ()))
    return str(next(option["$ref"] for option in options if "$ref" in option)).rpartition("/")[2]


if __name__ == "__main__":
    sys.stdout.write(schema())
