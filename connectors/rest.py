"""What JSON portals share: client credentials (OAuth 2, RFC 6749, 4.4), and reading an answer without trusting it."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import urlencode

from connectors.http import Http, Reply
from hub.contract.connector import Tokens
from hub.contract.errors import AuthFailed, PortalChanged, PortalError, Transient
from hub.contract.status import Delivered

_MARGIN = 60.0  # seconds: a token is renewed so long before it ends, so that none ends on its way
_AMOUNT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,10})?", re.ASCII)  # an exponent could unfold to gigabytes
_LET_NOBODY_IN = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def bearer(http: Http, tokens: Tokens, url: str, client_id: str, secret: str) -> str:
    """The connection's access token, fetched where none is held or the one held is about to end.

    Raises AuthFailed if the portal refuses the client. Whatever fails, nothing else was sent: delivered is `no`.
    """

    def fetch() -> tuple[str, float]:
        login = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        form = urlencode({"grant_type": "client_credentials"}).encode()
        try:
            reply = http.send("token", "POST", url, headers=headers, body=form)
            if reply.status in _LET_NOBODY_IN:
                raise AuthFailed(f"token at {url}: HTTP {reply.status}; check client_id and client_secret")
            answer = read_json(reply, f"token at {url}")
        except Transient as error:  # its reply may hold a token
            raise Transient(str(error), delivered=Delivered.NO, retry_after=error.retry_after) from None
        token, life = at(answer, "access_token"), amount(at(answer, "expires_in"))
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise PortalChanged(f"token at {url}: no access_token in the answer", delivered=Delivered.NO)
        return token, float(life or 0) - _MARGIN

    return tokens.get(url, fetch)


def read_json(reply: Reply, place: str) -> object:
    """The JSON of a 2xx answer to a request that changes nothing, numbers as text; any other answer raises.

    HTTP 401 is the caller's: only it knows which token to forget.
    """
    if reply.status // 100 != 2:  # noqa: PLR2004 - the class of success
        raise _refused(reply, place)
    try:
        return json.loads(reply.body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise Transient(f"{place}: the answer is no JSON", delivered=Delivered.UNKNOWN, reply=reply.body) from None


def _refused(reply: Reply, place: str) -> PortalError:
    message = f"{place}: HTTP {reply.status}"
    if reply.status == HTTPStatus.UNAUTHORIZED or reply.throttled:
        return Transient(message, delivered=Delivered.NO, retry_after=reply.retry_after, reply=reply.body)
    if reply.status == HTTPStatus.FORBIDDEN:
        return AuthFailed(f"{message}; the client may not ask this", reply=reply.body)
    if reply.status // 100 == 5:  # noqa: PLR2004 - the class of the server's own failures
        return Transient(message, delivered=Delivered.UNKNOWN, retry_after=reply.retry_after, reply=reply.body)
    return PortalChanged(
        f"{message}; the address or the request is not as it expects", delivered=Delivered.NO, reply=reply.body
    )


def at(value: object, path: str) -> object:
    """What stands at a dotted path (`invoiceAmount.amount`) of a JSON answer; None where it does not lead anywhere."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def amount(value: object) -> Decimal | None:
    """A JSON number, or a number as text, exactly; None for anything else, and for one of no sensible size."""
    return Decimal(value) if isinstance(value, str) and _AMOUNT.fullmatch(value) else None
