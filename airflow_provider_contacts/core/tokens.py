"""Minting OAuth 2 tokens ahead of their expiry.

The grant is built with Authlib's functions that open no socket; its httpx client is not used, since it is built on a
release line of httpx that Airflow does not bring. The clock is monotonic: a token must not live longer because the
wall clock was set back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from airflow_provider_contacts.core.auth import ClientCredentials
from airflow_provider_contacts.core.errors import UnreadableError
from airflow_provider_contacts.core.pace import LONGEST_WAIT
from airflow_provider_contacts.core.vendor import Answer
from airflow_provider_contacts.core.wire import NoAnswer, NotSent, Result

AHEAD = 60.0
"""Seconds before its expiry at which a token is renewed, or a fifth of its life if that is less."""

UNTOLD_LIFE = 300.0
"""Seconds that a token is used for where its reply does not tell; a 401 renews it anyway."""


class TokenError(Exception):
    """No token could be had; carries what that means for the request that wanted one."""

    def __init__(self, result: NotSent) -> None:
        super().__init__(result.code)
        self.result = result


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is posted to the token endpoint."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token and the seconds, from its request on, for which it is used."""

    text: str = field(repr=False)
    life: float


class TokenSource:
    """The current token of one account, used from one event loop.

    :param post: sends a token request once, and says what came of it.
    :param on_secret: is given every minted token, so that it can be masked in logs.
    """

    def __init__(
        self,
        credential: ClientCredentials,
        post: Callable[[TokenRequest], Awaitable[Result]],
        *,
        on_secret: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credential = credential
        self._post = post
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
                asked_at = self._monotonic()
                token = read_token(await self._post(token_request(self._credential)), self._credential)
                self._on_secret(token.text)
                self._token = token.text
                self._good_until = asked_at + token.life
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless a newer one has taken its place."""
        if token == self._token:
            self._token = ""


def token_request(credential: ClientCredentials) -> TokenRequest:
    """Return what the token endpoint is asked.

    :raises TokenError: for a client id or secret that no header can carry.
    """
    from authlib.oauth2.auth import ClientAuth
    from authlib.oauth2.rfc6749.parameters import prepare_token_request

    scope = {"scope": credential.scope} if credential.scope else {}
    form: str = prepare_token_request("client_credentials", **scope, **dict(credential.parameters))
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    method: Any = credential.method if credential.encoding == "form" else as_json
    try:
        auth = ClientAuth(credential.client_id, credential.client_secret, method)
        url, headers, body = auth.prepare("POST", credential.token_url, headers, form)
    except UnicodeEncodeError:
        raise TokenError(NotSent("credential_not_latin1", refused=True)) from None
    return TokenRequest(url, headers, body)


def as_json(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:  # noqa: ARG001  # Authlib's signature
    """Show id and secret in a JSON body, as Auth0 documents it, in place of a form."""
    fields = dict(parse_qsl(body)) | {"client_id": client.client_id, "client_secret": client.client_secret}
    return uri, {**headers, "content-type": "application/json"}, json.dumps(fields)


def read_token(result: Result, credential: ClientCredentials) -> Token:
    """Return the token of an answer.

    :raises TokenError: for a refusal, or for a trouble that may pass.
    """
    if isinstance(result, NotSent | NoAnswer):
        raise TokenError(NotSent("token_unavailable"))
    if result.status in {400, 401, 403, 404}:
        raise TokenError(NotSent("token_refused", refused=True))
    if not 200 <= result.status < 300:  # noqa: PLR2004  # RFC 9110
        text = result.headers.get("retry-after", "")
        raise TokenError(NotSent("token_unavailable", wait=float(text) if text.isdecimal() else None))
    reply = token_reply(result)
    if reply.get("error"):
        raise TokenError(NotSent("token_refused", refused=True))
    token, granted = reply.get("access_token"), reply.get("scope")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenError(NotSent("token_unreadable"))
    if isinstance(granted, str) and set(credential.scope.split()) - set(granted.split()):
        raise TokenError(NotSent("token_scope", refused=True))
    life = lifetime(reply.get("expires_in"))
    return Token(token, life - min(AHEAD, life / 5))


def token_reply(answer: Answer) -> dict[str, Any]:
    """Return the reply as an object; an empty one for anything else."""
    try:
        reply = answer.json()
    except UnreadableError:
        return {}
    return reply if isinstance(reply, dict) else {}


def lifetime(value: Any) -> float:
    """Return ``expires_in`` as seconds, tolerant of text and of nonsense."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return UNTOLD_LIFE
    return seconds if 0 < seconds < LONGEST_WAIT * 30 else UNTOLD_LIFE
