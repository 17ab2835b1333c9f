"""A plain httpx client with a vendor's credential, for what a push does not cover."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import LookupFailedError, RefusedError
from airflow_provider_contacts.transport.client import TOKEN_TIMEOUT
from airflow_provider_contacts.transport.http_exchange import OF_EVERY_REQUEST, Endpoint, ca_context, proxy_for
from airflow_provider_contacts.transport.response_body import OF_A_TOKEN, unpacked
from airflow_provider_contacts.transport.tokens import TokenError, read_token, token_request
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, FixedHeader
from airflow_provider_contacts.vendor_kit.results import NoAnswer, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

if TYPE_CHECKING:
    import httpx


def plain_client(endpoint: Endpoint, *, timeout: float, on_secret: Callable[[str], None]) -> httpx.Client:
    """Return a synchronous client; paths are relative to the vendor's base URL. The caller closes it.

    A token is minted with the first request and renewed ahead of its expiry.

    :param on_secret: is given every minted token, so that it can be masked in logs.
    :raises RefusedError: from a request, if the token endpoint refuses.
    :raises LookupFailedError: from a request, if it gives no token for a reason that may pass.
    """
    import httpx

    header = header_source(endpoint, on_secret)

    own = httpx.URL(endpoint.base_url)

    def authorize(request: httpx.Request) -> httpx.Request:
        # A link in an answer may lead anywhere; the credential must not follow it.
        if (request.url.scheme, request.url.host, request.url.port) == (own.scheme, own.host, own.port):
            request.headers["authorization"] = header()
        return request

    return httpx.Client(
        base_url=endpoint.base_url,
        auth=authorize,
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        # httpx keeps what came behind an answer, and takes it for the next one: no connection is used twice.
        limits=httpx.Limits(max_keepalive_connections=0),
        **connection_options(endpoint, endpoint.base_url),
    )


def connection_options(endpoint: Endpoint, url: str) -> dict[str, Any]:
    """Return how a host is reached: TLS and proxy."""
    verify = endpoint.verify
    return {
        "verify": verify if isinstance(verify, bool) else ca_context(verify),
        "proxy": proxy_for(url, endpoint.proxy),
    }


def header_source(endpoint: Endpoint, on_secret: Callable[[str], None]) -> Callable[[], str]:
    """Return what gives the current ``Authorization`` header."""
    credential = endpoint.credential
    if isinstance(credential, FixedHeader):
        value = credential.value
        return lambda: value
    held: dict[str, Any] = {"header": "", "until": 0.0}

    def header() -> str:
        if time.monotonic() >= held["until"]:
            asked_at = time.monotonic()
            try:
                token = read_token(post_token(endpoint, credential), credential)
            except TokenError as error:
                text = f"no token could be had ({error.result.code}): {error.result.message}"
                raise (RefusedError(text) if error.result.refused else LookupFailedError(text)) from None
            on_secret(token.text)
            held.update(header=f"Bearer {token.text}", until=asked_at + token.life)
        return str(held["header"])

    return header


def post_token(endpoint: Endpoint, credential: ClientCredentials) -> Result:
    """Ask the token endpoint once."""
    import httpx

    request = token_request(credential)
    options = {"timeout": TOKEN_TIMEOUT, "headers": OF_EVERY_REQUEST, **connection_options(endpoint, request.url)}
    packed = b""
    try:
        with (
            httpx.Client(trust_env=False, **options) as client,
            client.stream("POST", request.url, content=request.body, headers=request.headers) as response,
        ):
            for part in response.iter_raw():
                packed += part
                if len(packed) > OF_A_TOKEN.size:
                    break
    except httpx.HTTPError as error:
        return NoAnswer("token_unavailable", f"the connection failed ({type(error).__name__})")
    headers = {name.lower(): text for name, text in response.headers.items()}
    # httpx unpacks without a bound.
    body, trouble = unpacked(packed, headers.get("content-encoding", ""), OF_A_TOKEN.size)
    return Response(response.status_code, headers, body, None, trouble)
