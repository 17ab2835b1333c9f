"""A plain httpx client with a vendor's credential, for what a push does not cover."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_contacts.core.auth import FixedHeader
from airflow_provider_contacts.core.client import Endpoint, ca_context, proxy_for
from airflow_provider_contacts.core.errors import RefusedError
from airflow_provider_contacts.core.tokens import as_json, client_options

if TYPE_CHECKING:
    import httpx


def plain_client(endpoint: Endpoint, *, timeout: float, on_secret: Callable[[str], None]) -> httpx.Client:
    """Return a synchronous client; paths are relative to the vendor's base URL. The caller closes it.

    :param on_secret: is given a minted token, so that it can be masked in logs.
    :raises RefusedError: if the token endpoint gives no token.
    """
    import httpx

    options: dict[str, Any] = {
        "base_url": endpoint.base_url,
        "verify": endpoint.verify if isinstance(endpoint.verify, bool) else ca_context(endpoint.verify),
        "proxy": proxy_for(endpoint.base_url, endpoint.proxy),
        "timeout": timeout,
        "follow_redirects": False,
        "trust_env": False,
    }
    credential = endpoint.credential
    if isinstance(credential, FixedHeader):
        return httpx.Client(headers={"authorization": credential.value}, **options)
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.httpx_client import OAuth2Client

    # Authlib renews the token ahead of its expiry by itself, since this grant needs nothing but the credential.
    client: Any = OAuth2Client(
        token_endpoint=credential.token_url,
        grant_type="client_credentials",
        scope=credential.scope or None,
        **client_options(credential),
        **options,
    )
    client.register_client_auth_method(("json", as_json))
    try:
        token = client.fetch_token(**dict(credential.parameters))
    except (OAuthError, httpx.HTTPError, ValueError) as error:
        client.close()
        raise RefusedError(f"no token could be had: {type(error).__name__}") from None
    on_secret(str(token.get("access_token", "")))
    plain: httpx.Client = client
    return plain
