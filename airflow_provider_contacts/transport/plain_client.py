"""A plain httpx client with a vendor's credential, for what a push does not cover."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from math import inf
from typing import TYPE_CHECKING

from airflow_provider_contacts.errors import LookupFailedError, RefusedError
from airflow_provider_contacts.transport.client import Client
from airflow_provider_contacts.transport.connection import Endpoint, proxy_for, tls_context
from airflow_provider_contacts.transport.tokens import TokenError
from airflow_provider_contacts.vendor_kit.auth import FixedHeader

if TYPE_CHECKING:
    import httpx


def plain_client(endpoint: Endpoint, *, timeout: float, on_secret: Callable[[str], None]) -> httpx.Client:
    """Return a synchronous client; paths are relative to the vendor's base URL. The caller closes it.

    A token is minted with the first request and renewed ahead of its expiry; ``on_secret`` receives each one.

    :raises RefusedError: from a request, if the token endpoint refuses.
    :raises LookupFailedError: from a request, if it gives no token for a reason that may pass.
    """
    import httpx

    own = httpx.URL(endpoint.base_url)
    credential = endpoint.credential
    header, good_until = (credential.value, inf) if isinstance(credential, FixedHeader) else ("", 0.0)

    def authorize(request: httpx.Request) -> httpx.Request:
        nonlocal header, good_until
        # A link in an answer may lead anywhere; the credential must not follow it.
        if (request.url.scheme, request.url.host, request.url.port) == (own.scheme, own.host, own.port):
            if time.monotonic() >= good_until:
                header, good_until = new_token(endpoint, on_secret)
            request.headers["authorization"] = header
        return request

    return httpx.Client(
        base_url=endpoint.base_url,
        auth=authorize,
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        # httpx keeps what came behind an answer, and takes it for the next one: no connection is used twice.
        limits=httpx.Limits(max_keepalive_connections=0),
        verify=tls_context(endpoint.verify),
        proxy=proxy_for(endpoint.base_url, endpoint.proxy),
    )


def new_token(endpoint: Endpoint, on_secret: Callable[[str], None]) -> tuple[str, float]:
    """Return an ``Authorization`` header, and the moment (monotonic) until which it is good."""
    with closing(Client(endpoint, on_secret=on_secret)) as client:
        try:
            return client.authorization()
        except TokenError as error:
            text = f"no token could be had ({error.result.code}): {error.result.message}"
            raise (RefusedError(text) if error.result.refused else LookupFailedError(text)) from None
