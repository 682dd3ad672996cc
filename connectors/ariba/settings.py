"""What a connection to SAP Ariba needs to know. What is unconfirmed about the network is a setting; see README.md."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, SecretStr, StringConstraints, model_validator

from connectors.cxml.envelope import Mode
from connectors.cxml.multipart import Subtype
from connectors.cxml.schema import load_dtd
from connectors.http import WireSettings
from hub.contract.connector import Duration, Settings

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")  # where simulators are
ANID = r"^AN\d{11}(-T)?$"  # a test account's ends in -T


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.password:
        raise ValueError("write an address as in https://host/path, without a login in it")
    if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        raise ValueError("write https: without it the credentials could be read on their way")
    return value


Url = Annotated[str, AfterValidator(_url)]
Anid = Annotated[str, StringConstraints(pattern=ANID)]


def mismatch(mode: Mode, anid: str) -> str | None:
    """Why this network id cannot stand in a document of this mode; None if it can."""
    if anid.endswith("-T") == (mode == "test"):
        return None
    return f"{anid} is {'a test' if anid.endswith('-T') else 'a production'} account, but deployment_mode is {mode}"


class Fields(Settings):
    """Where the REST answer keeps what we read, as dotted paths. Only `number` and `status` must be there."""

    items: str = "content"
    last_page: str = "lastPage"
    number: str = "documentNumber"
    status: str = "status"
    amount: str = "invoiceAmount.amount"
    currency: str = "invoiceAmount.currency"


class Rest(Settings):
    """SAP Business Network's Invoice Header Data Extraction API, which needs an Enterprise account."""

    url: Url  # …/invoices
    token_url: Url
    client_id: str
    client_secret: SecretStr
    api_key: SecretStr
    page_size: int = Field(default=100, ge=1, le=100)
    window_days: int = Field(default=31, ge=1, le=31)  # the longest a request may span
    overlap: Duration = dt.timedelta(hours=1)  # so far back is read again, for what the network lists late
    daily_overlap: Duration = dt.timedelta(days=2)  # and once a day so far, for a clock or a zone that is not ours
    fields: Fields = Fields()


class AribaSettings(WireSettings):
    """One supplier account at the network."""

    url: Url  # where cXML is posted
    identity: Anid  # our network id
    shared_secret: SecretStr | None = None
    deployment_mode: Literal["test", "production"]
    network_identity: Anid = "AN01000000001"  # whom a ProfileRequest is addressed to
    allowed_hosts: tuple[str, ...] = ()  # host:port that the network's profile may send us to, beside the url's own
    cxml_version: Annotated[str, StringConstraints(pattern=r"^1\.2\.\d{3}$")] = "1.2.069"
    dtd: FilePath | None = None  # the official InvoiceDetail.dtd of that version; checked as well where given
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en-US"
    multipart_subtype: Subtype = "related"
    portal_refuses_repeats: bool = True  # the network's INVOICE_DUPLICATE check
    settles_within: Duration = dt.timedelta(minutes=15)
    acknowledged_within: Duration = dt.timedelta(hours=24)
    max_parallel: int = Field(default=4, ge=1)
    rest: Rest | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if wrong := mismatch(self.deployment_mode, self.identity):
            raise ValueError(f"identity: {wrong}")
        if self.shared_secret is None and self.client_cert is None:
            raise ValueError("give shared_secret, or client_cert where the account signs in by certificate")
        if self.cxml_version < "1.2.037":
            raise ValueError(f"cxml_version {self.cxml_version} is older than 1.2.037, the oldest we write")
        if self.dtd is not None:
            load_dtd(self.dtd)
        return self
