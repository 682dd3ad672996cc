"""Identifiers of companies, spelled one way so that they can be compared: `D-U-N-S`, `duns` and 0060 are one scheme."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# Codes of ISO 6523 (the ICD list) and of the EAS code list of the Connecting Europe Facility, which EN 16931 uses for
# BT-34 and BT-49, and the name we give each scheme; then other names of the same schemes. A scheme that is missing
# here is compared by its own name.
_SCHEMES = {
    "0002": "siren",  # France, company
    "0009": "siret",  # France, establishment
    "0060": "duns",
    "0088": "gln",  # EAN location code
    "0106": "kvk",  # Netherlands, chamber of commerce
    "0151": "abn",  # Australia
    "0184": "cvr",  # Denmark
    "0199": "lei",
    "0204": "leitweg",  # Germany, public buyers
    "0208": "kbo",  # Belgium, company
    **dict.fromkeys(("9906", "9910", "9914", "9920", "9955", "9957"), "vat"),  # IT, HU, AT, ES, SE, FR
    **{str(code): "vat" for code in range(9922, 9954)},  # AD to VA, one code a country, as in 9930 for DE
    "em": "email",
    "vatin": "vat",
    "networkid": "ariba",  # how cXML names an SAP Business Network id (Credential/@domain)
    "anid": "ariba",
    "aribanetworkid": "ariba",
}
_NO_SCHEME = "id"  # what an identifier is filed under that names no scheme
_BLANKS_DOTS_DASHES = re.compile(r"[\s.\u00ad\u2010-\u2015\u2212-]+")
_SEPARATORS = re.compile(r"[\W_]+")


class Identity(NamedTuple):
    """An identifier in the spelling that is compared."""

    scheme: str
    value: str  # "" where nothing but blanks, dots and dashes was given


def identity(scheme: str | None, value: str) -> Identity:
    """`value` under `scheme`, comparable: "DE 811.555-012" and "de811555012" are one VAT number."""
    name = _SEPARATORS.sub("", unicodedata.normalize("NFKC", scheme or "").casefold()) or _NO_SCHEME
    name = _SCHEMES.get(name, name)
    text = unicodedata.normalize("NFKC", value).strip()
    spelled = text if name == "email" else _BLANKS_DOTS_DASHES.sub("", text)  # in an address, dots are letters
    return Identity(name, spelled.casefold())
