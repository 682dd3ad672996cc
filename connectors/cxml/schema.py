"""Every outbound document is held against the grammar of what we emit, and the official DTD where it is at hand.

Our own grammar (cxml-invoice.rng) is narrower than the DTD: amounts, dates, currencies and code words are checked too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree

_GRAMMAR = Path(__file__).with_name("cxml-invoice.rng")
_SHOWN = 3


@cache
def _grammar() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(_GRAMMAR))


@cache
def load_dtd(path: Path) -> etree.DTD:
    """The official DTD at `path`, once a process; raises ValueError naming the file if it is none."""
    try:
        return etree.DTD(str(path))
    except etree.LxmlError as error:
        raise ValueError(f"{path} is no DTD: {error}") from None


def problems(root: etree._Element, document: bytes, dtd: Path | None = None) -> tuple[str, ...]:
    """What is wrong with a document that is about to be sent, with its line and what was expected; () if nothing is.

    `document` is `root` as bytes, read again only to tell the line.
    """
    if not _grammar().validate(root):
        return _told(etree.RelaxNG(etree.parse(_GRAMMAR)), document, "our grammar of cXML")
    if dtd is not None and not load_dtd(dtd).validate(root):
        return _told(etree.DTD(str(dtd)), document, dtd.name)
    return ()


def _told(checker: etree.RelaxNG | etree.DTD, document: bytes, by: str) -> tuple[str, ...]:
    """The first complaints of a checker of its own: the shared one's log is every thread's."""
    checker.validate(etree.fromstring(document, etree.XMLParser(load_dtd=False, no_network=True)))
    said = (f"line {entry.line}: {entry.message} ({by})" for entry in checker.error_log)  # type: ignore[union-attr]
    return tuple(dict.fromkeys(said))[:_SHOWN]
