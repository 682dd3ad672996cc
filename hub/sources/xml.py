"""XML from strangers: parsed without network, DTD or entities, and within limits."""

from __future__ import annotations

import re

from lxml import etree

from hub.sources.refused import Refused

Element = etree._Element  # noqa: SLF001 - lxml's public elements are of this class, which has no other name

MAX_BYTES = 20_000_000
_DEEP = 256  # levels, as libxml2 has them for smaller files; an EN 16931 invoice has nine
_LONG_TEXT = 9_000_000  # above this size one text (an attachment) may pass libxml2's own limit of 10 MB

# Encodings whose ASCII part is ASCII, so that a DTD cannot hide from the scan below. UTF-16 is recoded first.
_ENCODINGS = frozenset(("utf-8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252"))
_UTF16 = {
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"<\x00": "utf-16-le",
    b"\x00<": "utf-16-be",
}
_DECLARED = re.compile(rb"""\A(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["']([^"'>]{1,40})["']""")
_PROLOG = rb"\A(?:\xef\xbb\xbf)?(?>\s+|<\?.*?\?>|<!--.*?-->)*+"
_DOCTYPE = re.compile(_PROLOG + rb"<!DOCTYPE\s+([\w:.-]*)", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(_PROLOG + rb"<([\w:.-]+)", re.DOTALL)
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (_DEEP + 1)})")


def _parser(huge: bool, encoding: str | None) -> etree.XMLParser:  # noqa: FBT001 - lxml's own option
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        remove_comments=True,  # else a comment inside a value would cut the value in two
        remove_pis=True,
        huge_tree=huge,
        encoding=encoding,
    )


_USUAL = _parser(huge=False, encoding=None)  # kept, as a new parser learns every name anew


def parse(content: bytes) -> Element:
    """The root element of an XML document. Raises Refused, with the line where it is known."""
    if len(content) > MAX_BYTES:
        raise Refused(
            f"the XML has {len(content):,} bytes, more than the {MAX_BYTES:,} that are read; "
            "send large attachments beside the invoice, not inside it"
        )
    content, encoding = _readable(content)
    if (doctype := _DOCTYPE.match(content)) is not None:
        raise _doctype(content, doctype)
    huge = len(content) > _LONG_TEXT
    parser = _USUAL if not huge and encoding is None else _parser(huge, encoding)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as wrong:
        raise _syntax(content, wrong) from None
    except (ValueError, LookupError) as wrong:
        raise Refused(f"the XML cannot be read: {wrong}; export the invoice again") from None
    if root.getroottree().docinfo.internalDTD is not None or (huge and _TOO_DEEP(root)):
        raise Refused(f"the XML carries a DTD or nests deeper than {_DEEP} levels; no invoice does")
    return root


def _readable(content: bytes) -> tuple[bytes, str | None]:
    """The content in an encoding that can be scanned, and the encoding to force on the parser, if any."""
    if (utf16 := _UTF16.get(content[:2])) is not None:
        try:
            return content.decode(utf16).encode("utf-8"), "utf-8"
        except UnicodeDecodeError as wrong:
            told = f"the text is not the UTF-16 it begins as ({wrong}); export the invoice again"
            raise Refused(told, unfinished=wrong.end >= len(content)) from None
    if (declared := _DECLARED.match(content)) is not None:
        named = declared[1].decode("ascii", "replace")
        if named.lower() not in _ENCODINGS:
            raise Refused(f"the XML declares the encoding {named!r}; send it as UTF-8", "line 1")
    return content, None


def _doctype(content: bytes, found: re.Match[bytes]) -> Refused:
    newlines = content.count(b"\n", 0, found.start(1))
    line = f"line {newlines + 1}"
    if found[1].lower() == b"html":
        return Refused("this is an HTML page, not an invoice; a download that failed may leave one", line)
    return Refused(
        "the XML carries a DTD (<!DOCTYPE …>), which an invoice never needs and which can hide an attack; "
        "export the invoice without it",
        line,
    )


def _syntax(content: bytes, wrong: etree.XMLSyntaxError) -> Refused:
    line = f"line {wrong.lineno}" if wrong.lineno else None
    root = _ROOT.match(content)
    if root is not None and root[1].lower() == b"html":
        return Refused("this is an HTML page, not an invoice; a download that failed may leave one", line)
    cut = root is None or not content.rstrip(b" \t\r\n\0").endswith(b"</" + root[1] + b">")
    if getattr(wrong, "code", None) == etree.ErrorTypes.ERR_INVALID_ENCODING:  # a cut through a character gives it too
        told = "the text is not in the encoding it declares (or in UTF-8); export it as UTF-8"
        return Refused(told, line, unfinished=cut)
    if cut:
        told = "the XML ends in the middle; it was half written or cut off, so send the whole file again"
        return Refused(told, line, unfinished=True)
    return Refused(f"this is no well-formed XML: {wrong.msg}; export the invoice again", line)
