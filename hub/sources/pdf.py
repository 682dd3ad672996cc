"""Factur-X and ZUGFeRD: a PDF that carries its invoice as XML. The pages are never rendered or read."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from io import BytesIO

from pypdf import Configuration, PdfReader, apply_configuration
from pypdf.errors import DependencyError, LimitReachedError
from pypdf.generic import EmbeddedFile

from hub.contract.invoice import AttachmentType
from hub.sources.attachments import Blobs, harmless_name, type_of
from hub.sources.refused import Refused
from hub.sources.tables import Fields
from hub.sources.xml import MAX_BYTES as MAX_XML

MAX_BYTES = 50_000_000
_TAIL = 1024  # bytes at the end that hold the end-of-file marker (PDF Reference 1.7, H.3, note 18)

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it says of a broken file comes with our refusal

# What the embedded invoice is called (Factur-X 1.0, 6.2.2; ZUGFeRD 2.0; the XRechnung profile), whatever its case.
_XML_NAMES = ("factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml")

_ENCRYPTED = "the PDF is encrypted; send it without a password"

# What one stream may unfold to, whatever its filter: as much as an XML may have.
_LIMITS = Configuration(
    zlib_maximum_output_length=MAX_XML,
    lzw_maximum_output_length=MAX_XML,
    run_length_maximum_output_length=MAX_XML,
    brotli_maximum_output_length=MAX_XML,
    array_based_stream_maximum_output_length=MAX_XML,
    maximum_declared_stream_length=MAX_BYTES,
)


@dataclass(frozen=True)
class Unpacked:
    """The invoice XML of a PDF with its name, and the attachments: the PDF itself first."""

    xml: bytes
    xml_name: str
    attachments: list[Fields]


def unpack(content: bytes, name: str, blobs: Blobs) -> Unpacked:
    """Take a PDF apart. Raises Refused for one that is broken, encrypted, too large or carries no invoice."""
    if len(content) > MAX_BYTES:
        raise Refused(f"the PDF has {len(content):,} bytes, more than the {MAX_BYTES:,} that are read")
    if b"%%EOF" not in content[-_TAIL:]:  # an earlier one may stand in it, so that the reader would take the part
        told = "the PDF ends in the middle; it was half written or cut off, so send the whole file again"
        raise Refused(told, unfinished=True)
    try:
        shown = harmless_name(name) or "invoice.pdf"
        image = blobs.add(content, shown, "application/pdf") | {"type": AttachmentType.INVOICE_IMAGE}
        with apply_configuration(_LIMITS):
            return _taken_apart(content, image, blobs)
    except Refused:
        raise
    except ValueError as wrong:
        raise Refused(str(wrong)) from None
    except LimitReachedError:
        raise Refused(f"a part of the PDF unfolds to more than {MAX_XML:,} bytes; send a smaller one") from None
    except Exception as broken:  # noqa: BLE001 - pypdf raises whatever a broken file makes happen
        kind = type(broken).__name__
        if "ncrypt" in str(broken) or isinstance(broken, DependencyError):  # a way of encrypting that it does not know
            raise Refused(_ENCRYPTED) from None
        raise Refused(f"the PDF is broken or was cut off ({kind}: {broken}); send it again") from None


def _taken_apart(content: bytes, image: Fields, blobs: Blobs) -> Unpacked:
    pdf = PdfReader(BytesIO(content))
    if pdf.is_encrypted:
        raise Refused(_ENCRYPTED)
    xml: dict[str, bytes] = {}
    attachments = [image]
    for embedded in pdf.attachment_list:
        called = str(embedded.alternative_name or embedded.name)
        if called.lower() in _XML_NAMES:
            xml[called] = embedded.content
        else:
            attachments.append(_attachment(embedded, called, blobs))
    if len(xml) != 1:
        others = ", ".join(str(one["name"]) for one in attachments[1:]) or "nothing"
        found = "more than one invoice XML" if xml else "no invoice XML"
        raise Refused(
            f"the PDF carries {found} ({', '.join(_XML_NAMES)}); besides it carries {others}. A PDF alone cannot be "
            "read: send a Factur-X or ZUGFeRD PDF, UBL or CII"
        )
    [(xml_name, xml_bytes)] = xml.items()
    return Unpacked(xml_bytes, xml_name, attachments)


def _attachment(embedded: EmbeddedFile, called: str, blobs: Blobs) -> Fields:
    media_type = embedded.subtype.lstrip("/") if embedded.subtype else None
    stated = blobs.add(embedded.content, called, media_type)
    return stated | {"description": embedded.description, "type": type_of(embedded.description)}
