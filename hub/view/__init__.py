"""The unified view over every portal: what stands where, whose move it is, why, and how old that knowledge is."""

from hub.view.explain import (
    ArchivedDocument,
    Explanation,
    UnknownNumberError,
    document,
    explain,
    explain_document,
    is_known,
)
from hub.view.filters import FilterError, Filters, Names, read_filters
from hub.view.invoices import STALE_AFTER, InvoiceRow, Page, as_json, invoices, pressing
from hub.view.overview import OpenTask, Summary, UnmatchedDocument, open_tasks, summary, unmatched
from hub.view.whose_move import Outcome

__all__ = [
    "STALE_AFTER",
    "ArchivedDocument",
    "Explanation",
    "FilterError",
    "Filters",
    "InvoiceRow",
    "Names",
    "OpenTask",
    "Outcome",
    "Page",
    "Summary",
    "UnknownNumberError",
    "UnmatchedDocument",
    "as_json",
    "document",
    "explain",
    "explain_document",
    "invoices",
    "is_known",
    "open_tasks",
    "pressing",
    "read_filters",
    "summary",
    "unmatched",
]
