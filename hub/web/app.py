"""The pages and the JSON of the unified view. GET only: nothing here writes.

Whoever starts it binds it to this machine (127.0.0.1 or ::1): it shows invoices to everyone who can reach it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from hub.contract.invoice import Kind
from hub.contract.status import Stage, Submission
from hub.store.blobs import Blobs
from hub.store.database import Database, StoreError
from hub.view import (
    STALE_AFTER,
    FilterError,
    Names,
    Page,
    Summary,
    as_json,
    document,
    explain_document,
    invoices,
    is_known,
    open_tasks,
    pressing,
    summary,
    unmatched,
    wording,
)
from hub.view.timeline import DELIVERED
from hub.web.guard import HEADERS, Guard
from hub.web.query import Query

_HERE = Path(__file__).parent
_MANY = 100  # documents that nobody knows, on a page
_log = logging.getLogger(__name__)
DocumentId = Annotated[int, InPath(ge=1, le=2**31 - 1)]
Sha256 = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$")]


def create_app(
    db: Database,
    blobs: Blobs,
    *,
    names: Names,
    now: Callable[[], dt.datetime],
    stale_after: dt.timedelta = STALE_AFTER,
) -> FastAPI:
    """The application; `names` are the configuration's, `now` gives the time, UTC."""
    site = _Site(db, blobs, names, now, stale_after, _templates(names))
    app = FastAPI(title="Invoice hub", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    for path, answer in (
        ("/", site.worklist),
        ("/invoices/{document_id}", site.invoice),
        ("/portals", site.portals),
        ("/documents/{sha256}", site.archived),
        ("/healthz", site.healthz),
        ("/api/v1/invoices", site.listed),
    ):
        app.add_api_route(path, answer, response_model=None)
    for kind in (HTTPException, RequestValidationError, FilterError, StoreError, Exception):
        app.add_exception_handler(kind, site.failed)
    return app


@dataclass(frozen=True)
class _Site:
    """What the pages are made from, and each page."""

    db: Database
    blobs: Blobs
    names: Names
    now: Callable[[], dt.datetime]
    stale_after: dt.timedelta
    templates: Environment

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        html = self.templates.get_template(template).render(now=self.now(), **values)
        return HTMLResponse(html, status)

    def query_of(self, request: Request) -> Query:
        return Query.read(self.db, self.names, request.query_params.multi_items())

    def worklist(self, request: Request) -> Response:
        query = self.query_of(request)
        urgent = pressing(self.db, now=self.now(), limit=10)
        return self.page("worklist.html", query=query, found=self.found(query), all=self.totals(query), pressing=urgent)

    def listed(self, request: Request) -> Response:
        found = self.found(self.query_of(request))
        return JSONResponse({"invoices": as_json(found.rows), "next": found.next})

    def found(self, query: Query) -> Page:
        return invoices(self.db, query.filters, now=self.now(), stale_after=self.stale_after, after=query.after)

    def totals(self, query: Query) -> Summary:
        """For the tabs: the same search, whoever's move it is and however it stands."""
        return summary(self.db, replace(query.filters, whose_move=None, outcome=None))

    def invoice(self, document_id: DocumentId) -> Response:
        try:
            told = explain_document(self.db, self.blobs, document_id, now=self.now(), stale_after=self.stale_after)
        except LookupError as error:
            raise HTTPException(404, f"{error}.".capitalize()) from None
        keys = {moment.key for moment in told.timeline} - {""}
        return self.page("invoice.html", told=told, row=told.row, keys=keys)

    def portals(self) -> Response:
        unknown = unmatched(self.db, limit=_MANY + 1)
        more = len(unknown) > _MANY
        told: dict[str, Any] = {"all": summary(self.db), "tasks": open_tasks(self.db)}
        return self.page("portals.html", unmatched=unknown[:_MANY], more_unmatched=more, **told)

    def archived(self, sha256: Sha256, download: bool = False) -> Response:  # noqa: FBT001, FBT002 - a query parameter
        if not is_known(self.db, sha256):
            raise HTTPException(404, "The ledger refers to no document with this hash.")
        try:
            found = document(self.blobs, sha256)
        except FileNotFoundError:
            raise HTTPException(404, "The ledger refers to this document, but the archive no longer has it.") from None
        except ValueError:
            raise HTTPException(500, "The archive's copy is damaged: its content has another hash.") from None
        if found.text is not None and not download:
            return Response(found.content, media_type="text/plain; charset=utf-8")
        told = {"Content-Disposition": f'attachment; filename="{sha256[:16]}.bin"'}
        return Response(found.content, media_type="application/octet-stream", headers=told)

    def healthz(self) -> Response:
        with self.db.reading() as tx:
            tx.exec_driver_sql("SELECT 1")
        return JSONResponse({"status": "ok"})

    def failed(self, request: Request, error: Exception) -> Response:
        """What went wrong, in the look of the pages; for programs as a problem (RFC 9457)."""
        status, detail = _explained(error)
        title = HTTPStatus(status).phrase
        if request.url.path.startswith("/api/"):
            problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}
            return JSONResponse(problem, status, headers=dict(HEADERS), media_type="application/problem+json")
        answer = self.page("error.html", status, title=title, code=status, detail=detail)
        answer.headers.update(HEADERS)  # an error of the server is answered outside of Guard
        return answer


_DETAILS = {404: "There is no page at this address.", 405: "The pages of this hub can only be read."}


def _explained(error: Exception) -> tuple[int, str]:
    """The status and the words for an error; a defect's own words go to the log alone."""
    match error:
        case HTTPException():
            plain = error.detail == HTTPStatus(error.status_code).phrase
            return error.status_code, _DETAILS.get(error.status_code, error.detail) if plain else error.detail
        case RequestValidationError():
            return 404, _DETAILS[404]
        case FilterError():
            return 400, str(error)
        case StoreError():
            _log.error("%s", error)
            return 503, "The database cannot be read now. Try again in a minute; the hub's log says why."
        case _:
            return 500, "This page could not be made. Nothing was changed; the hub's log says why."


def _templates(names: Names) -> Environment:
    """The templates; whatever they put out is cleaned of controls and escaped."""
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    templates.globals |= {"names": names, "words": wording, "delivered": DELIVERED}
    templates.globals |= {"Submission": Submission, "Stage": Stage, "Kind": Kind}
    return templates


def _cleaned(value: object) -> object:
    """Text without what could turn or hide the text around it; markup of our own templates as it is."""
    return wording.clean_lines(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
