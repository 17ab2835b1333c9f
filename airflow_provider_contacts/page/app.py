"""The application that the plugin mounts: its routes behind a login, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import auth_manager_from_app, requires_authenticated
from fastapi import Depends, FastAPI
from starlette.datastructures import MutableHeaders

from airflow_provider_contacts.page import problems, records, runs, static_files

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

App = Callable[[Any, Any, Any], Awaitable[None]]


@cache
def app() -> App:
    """Return the application."""
    # The descriptions of an application are public, whatever its routes ask for.
    made = FastAPI(
        title="Contacts",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(requires_authenticated())],
    )
    # Airflow's own dependencies look for it in the state of the application, which is Airflow's and not this one.
    made.dependency_overrides[auth_manager_from_app] = get_auth_manager
    for module in (runs, records, static_files):
        made.include_router(module.router)
    problems.handle(made)
    return with_headers(made)


def with_headers(inner: App) -> App:
    """Return an application whose every answer has our headers, errors that nobody has foreseen included."""

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await inner(scope, receive, send_with_headers)

    return answering
