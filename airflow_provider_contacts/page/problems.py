"""Answers that are no page: what is wrong, why, and the way out. Nothing that a request says is repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from urllib.parse import quote

from airflow.exceptions import AirflowConfigException
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from airflow_provider_contacts.errors import ConfigError, LedgerError, TooSlowError
from airflow_provider_contacts.page.answers import NotConfiguredError, html
from airflow_provider_contacts.page.viewer import viewer_of

log = logging.getLogger(__name__)

AWAY = "The database of [contacts] outcomes_conn_id cannot be used now. The log of Airflow's API server says why."


@dataclass(frozen=True, slots=True)
class Problem:
    """The text of a page about a problem."""

    status_code: int
    title: str
    cause: str
    way_out: str


BY_STATUS = {
    one.status_code: one
    for one in (
        Problem(
            401,
            "You are not logged in",
            "Airflow does not know who you are, or your login has expired.",
            "Log in to Airflow, then open this page again.",
        ),
        Problem(
            403,
            "You may not see this",
            "Your role in Airflow gives no access to the XComs of this DAG, or the DAG does not exist.",
            "Ask an administrator of Airflow for the right to read the DAG and its XComs.",
        ),
        Problem(
            404,
            "There is nothing here",
            "This run is not in the outcome table, or belongs to another DAG; or the address is not one of this page.",
            "Begin with the list of runs.",
        ),
        Problem(
            405,
            "This address takes no such request",
            "It is there to be read.",
            "Begin with the list of runs.",
        ),
        Problem(
            422,
            "This address cannot be understood",
            "A part of it is missing, or is not of the kind that belongs there.",
            "Begin with the list of runs, and use its filters and links.",
        ),
    )
}
UNFORESEEN = Problem(
    500,
    "The page has failed",
    "The log of Airflow's API server says why.",
    "Try again; if it stays so, give the log to whoever runs Airflow.",
)
SET_IT = (
    "Set outcomes_conn_id in the section [contacts] of Airflow's configuration, or AIRFLOW__CONTACTS__OUTCOMES_CONN_ID "
    "in the environment of the API server, to the connection that the pushes name as outcomes_conn_id. The counts of a "
    "single push are at the link Outcomes of its task all the same."
)


class NoSummaryError(LookupError):
    """A task has neither a run in the outcome table nor a summary in XCom."""


# The first that fits; without a cause, the error has one.
BY_KIND: tuple[tuple[type[Exception], Problem], ...] = (
    (NotConfiguredError, Problem(503, "The page does not know the outcome table yet", "", SET_IT)),
    (ConfigError, Problem(503, "The outcome table cannot be used", "", SET_IT)),
    (
        AirflowConfigException,
        Problem(503, "The page's options are wrong", "", "Correct them in Airflow's configuration."),
    ),
    (TooSlowError, Problem(504, "The answer takes too long", "", "")),
    (
        LedgerError,
        Problem(
            503,
            "The outcome table cannot be reached",
            "",
            "Let the API server reach the database, or try again when it is there. The counts of a single push are at "
            "the link Outcomes of its task all the same.",
        ),
    ),
    (
        NoSummaryError,
        Problem(
            404,
            "This task has left no outcomes",
            "Neither the outcome table nor XCom knows of it: it has not pushed yet, it failed before it read a record, "
            "it only planned, or do_xcom_push is off.",
            "Look at the log of the task.",
        ),
    ),
    (RequestValidationError, BY_STATUS[422]),
)


def cause_of(error: Exception) -> str:
    """Return why something fails. Drivers name hosts and logins, which not everybody may know: the log has those."""
    if isinstance(error, LedgerError) and not isinstance(error, TooSlowError):
        log.warning("%s", error)
        return AWAY
    return f"{error}".rstrip(".") + "."


def problem_of(error: Exception) -> Problem:
    """Return what a page says about an error."""
    for kind, problem in BY_KIND:
        if isinstance(error, kind):
            return problem if problem.cause else replace(problem, cause=cause_of(error))
    return BY_STATUS.get(error.status_code, UNFORESEEN) if isinstance(error, HTTPException) else UNFORESEEN


def answer_to(request: Request, error: Exception) -> Response:
    """Answer a request that has failed."""
    problem = problem_of(error)
    viewer = viewer_of(request)
    here = f"{request.url.path}?{request.url.query}".removesuffix("?")
    login = f"{viewer.airflow}/api/v2/auth/login?next={quote(here, safe='')}"
    # A browser that opens a page goes where Airflow's UI would send it, and comes back.
    if problem.status_code == 401 and request.headers.get("sec-fetch-dest") == "document":  # noqa: PLR2004  # HTTP's
        return RedirectResponse(login, 303)
    return html(request, "problem.html", viewer=viewer, section="runs", **asdict(problem))


def handle(app: FastAPI) -> None:
    """Let an application answer its errors so."""
    answer: Callable[[Request, Exception], Response] = answer_to
    kinds: list[type[Exception]] = [HTTPException, *(kind for kind, _ in BY_KIND), Exception]
    for kind in kinds:
        app.add_exception_handler(kind, answer)
