"""The answer of a route: a page, or the one block of it that htmx has asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.ledgers.reports.outcomes import OutcomeReports
from airflow_provider_contacts.page.rendering import render
from airflow_provider_contacts.page.viewer import viewer_of
from airflow_provider_contacts.task.connections import named_table, sql_hook

OUTCOMES = "[contacts] outcomes_conn_id"


class NotConfiguredError(ConfigError):
    """The page knows no outcome table."""


def open_reports() -> OutcomeReports:
    """Open the outcome table that Airflow's configuration names."""
    conn_id, table = named_table()
    if not conn_id:
        raise NotConfiguredError(f"{OUTCOMES} names no connection, so that the page knows no outcome table")
    return OutcomeReports.open(sql_hook(conn_id, OUTCOMES), table)


def reports() -> Iterator[OutcomeReports]:
    """Open the outcome table for the time of one request."""
    with open_reports() as opened:
        yield opened


Reports = Annotated[OutcomeReports, Depends(reports)]


def stack(reports: Reports) -> Iterator[ExitStack]:  # noqa: ARG001  # is closed after it
    """Close what a streamed answer reads from, also when nobody reads it to its end."""
    with ExitStack() as opened:
        yield opened


UntilTheEnd = Annotated[ExitStack, Depends(stack)]


class Answer:
    """Makes the answers of one request."""

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._request = request
        self.viewer = viewer_of(request, user.get_name())
        self.block = block_of(request)

    def __call__(self, template: str, section: str, /, **context: Any) -> HTMLResponse:
        """Return a page, or the block of it that htmx puts in the place of its target."""
        return html(self._request, template, viewer=self.viewer, section=section, **context)

    def further(self, cursor: str | None) -> str | None:
        """Return the address of the next page of what is shown, ``None`` at the end."""
        if cursor is None:
            return None
        url = self._request.url.include_query_params(after=cursor)
        return f"{url.path}?{url.query}"


Answering = Annotated[Answer, Depends()]


def html(request: Request, template: str, /, **context: Any) -> HTMLResponse:
    """Return a template as answer."""
    return HTMLResponse(render(template, block_of(request), **context), context.get("status_code", 200))


def block_of(request: Request) -> str | None:
    """Return the block that htmx asks for, by the target whose place it takes."""
    return request.headers.get("hx-target") if "hx-request" in request.headers else None
