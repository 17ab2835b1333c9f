"""A plain httpx client with a vendor's credential, for what a push does not cover."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.errors import LookupFailedError, RefusedError
from airflow_provider_contacts.transport.client import TOKEN_TIMEOUT
from airflow_provider_contacts.transport.endpoint import COMMON_HEADERS, Endpoint, ca_context, proxy_for
from airflow_provider_contacts.transport.response_body import OF_A_TOKEN, unpacked
from airflow_provider_contacts.transport.tokens import TokenError, read_token, token_request
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, Credential
from airflow_provider_contacts.vendor_kit.results import NoAnswer, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

if TYPE_CHECKING:
    import httpx


def plain_client(endpoint: Endpoint, *, timeout: float, on_secret: Callable[[str], None]) -> httpx.Client:
    """Return a synchronous client; paths are relative to the vendor's base URL. The caller closes it.

    :param on_secret: receives every minted token, so that it can be masked in logs.
    :raises RefusedError: from a request, if the token endpoint refuses.
    :raises LookupFailedError: from a request, if it gives no token for a reason that may pass.
    """
    import httpx

    own = httpx.URL(endpoint.base_url)
    header = Header(endpoint, on_secret)

    def authorize(request: httpx.Request) -> httpx.Request:
        # A link in an answer may lead anywhere; the credential must not follow it.
        if (request.url.scheme, request.url.host, request.url.port) == (own.scheme, own.host, own.port):
            request.headers["authorization"] = header.current(endpoint.credential)
        return request

    return httpx.Client(
        base_url=endpoint.base_url,
        auth=authorize,
        timeout=timeout,
        follow_redirects=False,
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
        "trust_env": False,
    }


class Header:
    """The ``Authorization`` header; a token is minted with the first request and renewed ahead of its expiry."""

    def __init__(self, endpoint: Endpoint, on_secret: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._on_secret = on_secret
        self._value = ""
        self._good_until = 0.0

    def current(self, credential: Credential) -> str:
        """Return the header's value."""
        if not isinstance(credential, ClientCredentials):
            return credential.value
        asked_at = time.monotonic()
        if asked_at >= self._good_until:
            try:
                token = read_token(post_token(self._endpoint, credential), credential)
            except TokenError as error:
                text = f"no token could be had ({error.result.code}): {error.result.message}"
                raise (RefusedError(text) if error.result.refused else LookupFailedError(text)) from None
            self._on_secret(token.text)
            self._value, self._good_until = f"Bearer {token.text}", asked_at + token.life
        return self._value


def post_token(endpoint: Endpoint, credential: ClientCredentials) -> Result:
    """Ask the token endpoint once; httpx would read and unpack without a bound."""
    import httpx

    request = token_request(credential)
    options = connection_options(endpoint, request.url)
    packed = b""
    try:
        with (
            httpx.Client(timeout=TOKEN_TIMEOUT, headers=COMMON_HEADERS, **options) as client,
            client.stream("POST", request.url, content=request.body, headers=request.headers) as response,
        ):
            for part in response.iter_raw():
                packed += part
                if len(packed) > OF_A_TOKEN.size:
                    break
    except httpx.HTTPError as error:
        return NoAnswer("token_unavailable", f"the connection failed ({type(error).__name__})")
    headers = {name.lower(): text for name, text in response.headers.items()}
    body, trouble = unpacked(packed, headers.get("content-encoding", ""), OF_A_TOKEN.size)
    return Response(response.status_code, headers, body, None, trouble)
