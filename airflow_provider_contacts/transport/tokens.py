"""OAuth 2 tokens, minted ahead of their expiry.

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
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.pacing.bucket import LONGEST_WAIT, retry_after
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

AHEAD = 60.0
"""Seconds before its expiry at which a token is renewed, or a fifth of its life if that is less."""

UNTOLD_LIFE = 300.0
"""Seconds for which a token is used where its reply does not tell; a 401 renews it anyway."""

LONGEST_TOKEN = 64 * 1024
"""Characters of the longest token that is taken: no server takes a longer header."""

# RFC 6749, 5.2: the error codes that are repeated; nothing else of the text is.
REFUSALS = {
    *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
    *("invalid_scope", "access_denied"),
}


class TokenError(Exception):
    """No token could be had; carries the result of the request that needed one."""

    def __init__(self, code: str, message: str, *, refused: bool = False, wait: float | None = None) -> None:
        super().__init__(code)
        self.result = NotSent(code, refused=refused, wait=wait, message=message)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and the seconds, from its request on, for which it is used."""

    text: str = field(repr=False)
    life: float


class TokenSource:
    """The current token of one account, used from one event loop.

    :param post: sends URL, headers and body to the token endpoint once.
    :param on_secret: receives every minted token, so that it can be masked in logs.
    :ivar good_until: the moment (monotonic) at which the token is renewed.
    """

    def __init__(
        self,
        credential: ClientCredentials,
        post: Callable[[str, dict[str, str], str], Awaitable[Result]],
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
        self.good_until = 0.0

    async def get(self) -> str:
        """Return a token that is good for a while, or raise :class:`TokenError`."""
        async with self._lock:
            asked_at = self._monotonic()
            if not self._token or asked_at >= self.good_until:
                self._token = ""
                token = read_token(await self._post(*token_request(self._credential)), self._credential)
                self._on_secret(token.text)
                self._token, self.good_until = token.text, asked_at + token.life
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless a newer one has taken its place."""
        if token == self._token:
            self._token = ""


def token_request(credential: ClientCredentials) -> tuple[str, dict[str, str], str]:
    """Return URL, headers and body of the request for a token.

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
        text = (
            "login (client id) or password (client secret) of the connection holds characters that no header can carry"
        )
        raise TokenError("credential_not_latin1", text, refused=True) from None
    return url, headers, body


def as_json(client: Any, method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:  # noqa: ARG001  # Authlib's signature
    """Put id and secret into a JSON body, as Auth0 documents it."""
    fields = dict(parse_qsl(body)) | {"client_id": client.client_id, "client_secret": client.client_secret}
    return uri, {**headers, "content-type": "application/json"}, json.dumps(fields)


def read_token(result: Result, credential: ClientCredentials, now: datetime | None = None) -> AccessToken:
    """Return the token of an answer.

    :param now: the wall clock (UTC), for ``Retry-After`` as a date.
    :raises TokenError: for a refusal, or an error that may pass.
    """
    where = f"the token endpoint at {urlsplit(credential.token_url).hostname}"
    if not isinstance(result, Response):
        raise TokenError("token_unavailable", f"no token came from {where}: {result.message or result.code}")
    try:
        reply = result.json()
    except UnreadableError:
        reply = {}
    reply = reply if isinstance(reply, dict) else {}
    code = reply.get("error")
    told = f"HTTP {result.status}" + (f", {code}" if isinstance(code, str) and code in REFUSALS else "")
    good = 200 <= result.status < 300  # noqa: PLR2004  # RFC 9110
    if result.status in {400, 401, 403, 404} or (good and code):
        advice = "check login (client id), password (client secret) and token_url of the connection"
        raise TokenError("token_refused", f"{where} refuses the client ({told}): {advice}", refused=True)
    if not good:
        wait = retry_after(result.headers.get("retry-after"), now or datetime.now(UTC))
        raise TokenError("token_unavailable", f"{where} gives no token now ({told})", wait=wait)
    token = reply.get("access_token")
    if trouble := result.trouble or token_trouble(token):
        raise TokenError("token_unreadable", f"{where} gives no usable token ({told}): {trouble}")
    granted = reply.get("scope")
    if isinstance(granted, str) and (missing := set(credential.scope.split()) - set(granted.replace(",", " ").split())):
        names = " ".join(sorted(missing))
        text = f"{where} grants no scope {names!r}: grant it to the client, or correct scope in the connection"
        raise TokenError("token_scope", text, refused=True)
    life = lifetime(reply.get("expires_in"))
    return AccessToken(str(token), life - min(AHEAD, life / 5))


def token_trouble(token: Any) -> str:
    """Return why a token cannot be used; empty for one that can."""
    if not isinstance(token, str) or not token:
        return "its answer holds no access_token"
    if len(token) > LONGEST_TOKEN:
        return f"access_token has {len(token)} characters, and no server takes more than {LONGEST_TOKEN}"
    if not token.isascii() or not token.isprintable() or " " in token:
        return "access_token holds characters that no header can carry"
    return ""


def lifetime(value: Any) -> float:
    """Return ``expires_in`` as seconds; a default for nonsense."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return UNTOLD_LIFE
    return seconds if 0 < seconds < LONGEST_WAIT * 30 else UNTOLD_LIFE
