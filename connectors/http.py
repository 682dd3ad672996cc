"""One exchange over HTTP with a portal: no redirect, one total deadline, and the facts of every failure.

Nothing that may change anything is ever repeated here: only GET and HEAD are tried again, a few times within the
deadline of their call, where no answer came or the portal was busy for a moment. Everything else goes out once.

What requests raises does not say whether the portal has what was sent (architecture, decision 2), so every failure is
judged here, by its cause: it certainly was not delivered only if no connection ever stood. A reply that ends early
never looks like one: bytes that are missing are an error, and so is a 2xx reply without a body, because headers that
were cut off come back from http.client as exactly that.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from pydantic import Field, FilePath
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_result,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError
from urllib3.exceptions import SSLError as TlsError

from connectors.watchdog import Watchdog
from hub.contract.connector import Context, Duration, Settings
from hub.contract.errors import AuthFailed, Transient
from hub.contract.status import Delivered

_CHUNK = 65_536
_SAFE = ("GET", "HEAD")  # RFC 9110, 9.2.1, as far as portals are asked by them
_BUSY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)


class WireSettings(Settings):
    """How a connection reaches its portal. The portal's certificate is always verified."""

    user_agent: str = "portal-hub/0.1"
    timeout: Duration = dt.timedelta(seconds=60)  # of one exchange, from connecting to the reply's last byte
    reply_limit: int = Field(default=20_000_000, gt=0)  # bytes, unpacked
    ca_bundle: FilePath | None = None  # PEM; None: the public authorities
    client_cert: FilePath | None = None  # PEM
    client_key: FilePath | None = None  # PEM; None: it stands in client_cert
    proxy_from_environment: bool = False  # HTTPS_PROXY and NO_PROXY


@dataclass(frozen=True)
class Reply:
    """What a portal answered, whole."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes

    @property
    def throttled(self) -> bool:
        """Whether the portal only said that too much was asked of it."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS

    @property
    def retry_after(self) -> dt.timedelta | None:
        """How long the portal asks us to wait (RFC 9110, 10.2.3: seconds or a date); None where it does not say."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit() and len(text) < 8:  # noqa: PLR2004 - three years; more is no answer
            return dt.timedelta(seconds=int(text))
        with suppress(ValueError, TypeError):
            when = parsedate_to_datetime(text)
            return max(when.replace(tzinfo=when.tzinfo or dt.UTC) - dt.datetime.now(dt.UTC), dt.timedelta())
        return None


class _Watched(HTTPConnection):
    """A connection that shows itself to the watchdog of the exchange under way, new or kept alive."""

    here: threading.local  # .dog: one exchange at a time in a thread

    def _new_conn(self) -> socket.socket:
        line = super()._new_conn()
        if not self.here.dog.guard(line):  # name look-up and connecting know no total time-out
            line.close()
            raise ConnectTimeoutError(self, "the deadline passed while connecting")
        return line

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            self.here.dog.guard(self.sock)
        super().putrequest(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    """The same over TLS."""


_HERE = _Watched.here = threading.local()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class Http:
    """One portal's HTTP: a session, the rate gate and the deadline of the call under way."""

    def __init__(self, context: Context, settings: WireSettings) -> None:
        self._context = context
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False  # neither .netrc, which overrides credentials, nor proxies unasked
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.verify = str(settings.ca_bundle) if settings.ca_bundle else True
        if settings.client_cert:
            self._session.cert = (str(settings.client_cert), str(settings.client_key or settings.client_cert))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(max_retries=0))

    def send(
        self,
        verb: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        commits: bool = False,
    ) -> Reply:
        """Send a request and read its whole reply, whatever its HTTP status; a GET or HEAD up to three times.

        `verb` is what the gate counts; `commits` marks the request that changes something at the portal. Raises
        Transient, with whether the portal may have the request, and AuthFailed for a credential that cannot be sent.
        """
        once = partial(self._send_once, verb, method, url, headers=headers, body=body, commits=commits)
        return once() if commits or method not in _SAFE else self._again()(once)

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def _send_once(
        self, verb: str, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, commits: bool
    ) -> Reply:
        if strange := [name for name, value in headers.items() if not (value.isascii() and value.isprintable())]:
            raise AuthFailed(f"{verb}: {', '.join(strange)} holds blanks or signs that no header can carry; retype it")
        request = self._session.prepare_request(
            requests.Request(method, url, headers={"User-Agent": self._settings.user_agent, **headers}, data=body)
        )
        proxies = get_environ_proxies(url) if self._settings.proxy_from_environment else {}
        place = f"{verb} at {_host(url)}"
        self._context.gate.wait(verb)
        if self._context.cancel.is_set():
            raise Transient(f"{place}: the hub is stopping; nothing was sent", delivered=Delivered.NO)
        seconds = min(self._settings.timeout.total_seconds(), self._context.deadline.left())
        if seconds <= 0:
            raise Transient(f"{place}: no time was left for it; nothing was sent", delivered=Delivered.NO)
        if commits:
            self._context.point_of_no_return()
        reply = self._exchange(request, place, seconds, proxies)
        kept = "".join(f"{name}: {value}\n" for name, value in reply.headers.items() if name.lower() != "set-cookie")
        self._context.evidence.keep(f"{verb}.reply-headers", f"{reply.status}\n{kept}".encode())
        if reply.status // 100 == 2 and not reply.body and reply.status != HTTPStatus.NO_CONTENT:  # noqa: PLR2004
            raise Transient(
                f"{place}: HTTP {reply.status} without a body; the reply may have been cut off in its headers",
                delivered=Delivered.UNKNOWN,
            )
        return reply

    def _again(self) -> Retrying:
        """Three tries, as far as the deadline of the call reaches and no stop is called."""
        cancel, left = self._context.cancel, self._context.deadline.left()
        return Retrying(
            retry=retry_if_exception(_passes) | retry_if_result(_is_busy),
            stop=stop_any(stop_after_attempt(3), stop_when_event_set(cancel), stop_before_delay(left)),
            wait=wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2),
            sleep=sleep_using_event(cancel),
            retry_error_callback=_last_answer,
        )

    def _exchange(
        self, request: requests.PreparedRequest, place: str, seconds: float, proxies: dict[str, str]
    ) -> Reply:
        dog = _HERE.dog = Watchdog(seconds)
        try:
            reply = self._read(request, place, seconds, proxies)
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            # OSError holds all of requests' own; the chain is cut, for it carries the request with its credentials.
            raise self._judged(error, place, dog) from None
        finally:
            dog.stop()
        if dog.bitten:  # a body without a length ends where the connection does, and the dog has ended it
            raise self._judged(TimeoutError(), place, dog)
        return reply

    def _read(self, request: requests.PreparedRequest, place: str, seconds: float, proxies: dict[str, str]) -> Reply:
        response = self._session.send(
            request,
            stream=True,
            timeout=seconds,
            allow_redirects=False,
            proxies=proxies,
            verify=self._session.verify,
            cert=self._session.cert,
        )
        with closing(response):
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > self._settings.reply_limit:
                    raise Transient(
                        f"{place}: the reply is longer than {self._settings.reply_limit} bytes (reply_limit)",
                        delivered=Delivered.UNKNOWN,
                    )
            return Reply(response.status_code, response.headers, bytes(body))

    def _judged(self, error: BaseException, place: str, dog: Watchdog) -> Transient:
        if _never_left(error):
            return Transient(f"{place}: no connection ({_cause(error)}); nothing was sent", delivered=Delivered.NO)
        why = "the time was up" if dog.bitten or isinstance(error, requests.Timeout) else _cause(error)
        return Transient(f"{place}: no whole reply ({why}); it may have arrived", delivered=Delivered.UNKNOWN)


def _last_answer(state: RetryCallState) -> Reply:
    """What the last of several tries came to; raises what it raised."""
    if state.outcome is None:
        raise AssertionError("a try has ended without an outcome")
    reply: Reply = state.outcome.result()
    return reply


def _passes(error: BaseException) -> bool:
    """Whether a safe request that failed so may be tried again soon; a portal that named a time is not hurried."""
    return isinstance(error, Transient) and error.retry_after is None


def _is_busy(reply: Reply) -> bool:
    return reply.status in _BUSY and reply.retry_after is None


def _never_left(error: BaseException) -> bool:
    """Whether no connection ever stood: refused, no such name, no answer to connecting, or a certificate refused by us.

    requests raises the same ConnectionError and SSLError where the portal has read everything (architecture, decision
    2), so only urllib3's reason counts.
    """
    outer = error.args[0] if error.args else None
    reason = outer.reason if isinstance(outer, MaxRetryError) else None
    if isinstance(reason, TlsError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _cause(error: BaseException) -> str:
    """The kind of the innermost cause and the system's words for it; never an exception's own text, which may quote."""
    inner = error.reason if isinstance(error, MaxRetryError) else error.__cause__
    inner = inner or next((part for part in error.args if isinstance(part, BaseException)), None)
    if inner is not None:
        return _cause(inner)
    words = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]
