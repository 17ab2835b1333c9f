"""Minting OAuth 2 tokens ahead of their expiry. The grant itself is Authlib's work; the monotonic clock is ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_contacts.core.auth import ClientCredentials
from airflow_provider_contacts.core.pace import LONGEST_WAIT
from airflow_provider_contacts.core.wire import NotSent

if TYPE_CHECKING:
    import httpx

AHEAD = 60.0
"""Seconds before its expiry at which a token is renewed, or a fifth of its life if that is less."""

UNTOLD_LIFE = 300.0
"""Seconds that a token is used for where its reply does not tell; a 401 renews it anyway."""


class TokenError(Exception):
    """No token could be had; carries what that means for the request that wanted one."""

    def __init__(self, result: NotSent) -> None:
        super().__init__(result.code)
        self.result = result


class TokenSource:
    """The current token of one account, used from one event loop.

    :param new_client: makes the httpx client that asks the token endpoint; called at most once a token.
    :param on_secret: is given every minted token, so that it can be masked in logs.
    """

    def __init__(
        self,
        credential: ClientCredentials,
        new_client: Callable[..., httpx.AsyncClient],
        *,
        on_secret: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credential = credential
        self._new_client = new_client
        self._on_secret = on_secret
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._token = ""
        self._good_until = 0.0

    async def get(self) -> str:
        """Return a token that is good for a while.

        :raises TokenError: where none can be had.
        """
        async with self._lock:
            if not self._token or self._monotonic() >= self._good_until:
                self._token = ""
                await self._mint()
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless a newer one has taken its place."""
        if token == self._token:
            self._token = ""

    async def _mint(self) -> None:
        from authlib.integrations.base_client import OAuthError
        from httpx import HTTPError, HTTPStatusError

        credential = self._credential
        asked_at = self._monotonic()
        try:
            async with self._new_client(**client_options(credential)) as client:
                reply = await fetch(client, credential)
        except OAuthError:
            # Its text may quote what was sent: the code says enough.
            raise TokenError(NotSent("token_refused", refused=True)) from None
        except HTTPStatusError as error:
            raise TokenError(status_result(error.response.status_code, error.response.headers)) from None
        except (HTTPError, OSError, TimeoutError, ValueError, TypeError, AttributeError):
            # No answer, or one that is no token reply at all (Authlib reads it without looking).
            raise TokenError(NotSent("token_unavailable")) from None
        token = reply.get("access_token")
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            raise TokenError(NotSent("token_unreadable"))
        self._on_secret(token)
        granted = reply.get("scope")
        if isinstance(granted, str) and set(credential.scope.split()) - set(granted.split()):
            raise TokenError(NotSent("token_scope", refused=True))
        life = lifetime(reply.get("expires_in"))
        self._token = token
        self._good_until = asked_at + life - min(AHEAD, life / 5)


def lifetime(value: Any) -> float:
    """Return ``expires_in`` as seconds, tolerant of text and of nonsense."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return UNTOLD_LIFE
    return seconds if 0 < seconds < LONGEST_WAIT * 30 else UNTOLD_LIFE


def status_result(status: int, headers: Mapping[str, str]) -> NotSent:
    """Return what a token endpoint's status means: a refusal, or a trouble that may pass."""
    if status in {400, 401, 403, 404}:
        return NotSent("token_refused", refused=True)
    text = headers.get("retry-after", "")
    return NotSent("token_unavailable", wait=float(text) if text.isdecimal() else None)


def client_options(credential: ClientCredentials) -> dict[str, Any]:
    """Return the options of an Authlib client for this credential."""
    method: Any = credential.method if credential.encoding == "form" else "json"
    return {
        "client_id": credential.client_id,
        "client_secret": credential.client_secret,
        "token_endpoint_auth_method": method,
    }


async def fetch(client: Any, credential: ClientCredentials) -> Mapping[str, Any]:
    """Ask the token endpoint with an Authlib client."""
    client.register_client_auth_method(("json", as_json))
    reply = await client.fetch_token(
        credential.token_url,
        grant_type="client_credentials",
        **({"scope": credential.scope} if credential.scope else {}),
        **dict(credential.parameters),
    )
    return dict(reply)


def as_json(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:  # noqa: ARG001  # Authlib's signature
    """Show id and secret in a JSON body, as Auth0 documents it, in place of a form."""
    fields = dict(parse_qsl(body)) | {"client_id": client.client_id, "client_secret": client.client_secret}
    return uri, {**headers, "Content-Type": "application/json"}, json.dumps(fields)
