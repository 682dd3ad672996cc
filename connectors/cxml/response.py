"""A cXML reply, read leniently and safely: no entity is expanded, nothing is loaded, nothing malformed is mended.

Real replies carry a DOCTYPE with a SYSTEM id, codes with blanks, and their details now in the Status's attribute, now
in its text. A DOCTYPE with declarations of its own is refused: it could only serve to expand entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from lxml import etree

_PARSER = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
)


@dataclass(frozen=True)
class Answer:
    """A cXML Response: its Status, and what a ProfileResponse offers."""

    code: int
    words: str  # the Status's text attribute and its text, each once
    transactions: Mapping[str, str]  # request name → URL


@dataclass(frozen=True)
class NoCxml:
    """A reply that is no cXML Response, and why. It proves nothing about what became of the request."""

    why: str


def read(body: bytes) -> Answer | NoCxml:
    """What the bytes of a reply say; never raises."""
    body = body.lstrip()  # blanks before the XML declaration
    try:
        _refuse_declarations(body)
        root = etree.fromstring(body, _PARSER)
    except _Declares:
        return NoCxml("its DOCTYPE declares things of its own")
    except (expat.ExpatError, etree.XMLSyntaxError, ValueError, LookupError) as error:
        return NoCxml(f"no well-formed XML: {error}" if body else "empty")
    status = root.find("Response/Status") if root.tag == "cXML" else None
    if status is None:
        return NoCxml(f"<{root.tag}> without Response and Status")
    code = status.get("code", "").strip()
    if not (code.isascii() and code.isdigit() and len(code) == 3):  # noqa: PLR2004 - every cXML code has three digits
        return NoCxml(f"Status code {code[:20]!r}")
    said = (status.get("text", "").strip(), "".join(map(str, status.itertext())).strip())
    offers = {
        name: (offer.findtext("URL") or "").strip()
        for offer in root.iterfind("Response/ProfileResponse/Transaction")
        if (name := offer.get("requestName"))
    }
    return Answer(int(code), ": ".join(dict.fromkeys(part for part in said if part)), offers)


class _Declares(Exception):
    pass


class _PrologRead(Exception):
    pass


def _refuse_declarations(body: bytes) -> None:
    """Raise _Declares if the document has an internal subset, before any other parser sees it."""

    def doctype(_name: str, _system: str | None, _public: str | None, declares: bool) -> None:  # noqa: FBT001 - expat's
        if declares:
            raise _Declares

    def element(_name: str, _attributes: dict[str, str]) -> None:
        raise _PrologRead

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    try:
        parser.Parse(body, True)  # noqa: FBT003 - expat's
    except _PrologRead:
        return
