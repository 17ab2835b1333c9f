"""OAuth 2 tokens, minted ahead of their expiry.

The clock is monotonic: a token must not live longer because the wall clock was set back.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.pacing.bucket import LONGEST_WAIT, retry_after
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials
from airflow_provider_contacts.vendor_kit.results import NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import Response

# Seconds before its expiry at which a token is renewed, or a fifth of its life if that is less.
AHEAD = 60.0

# Seconds for which a token is used where its reply does not tell; a 401 renews it anyway.
UNTOLD_LIFE = 300.0

# Characters of the longest token that is taken: no server takes a longer header.
LONGEST_TOKEN = 64 * 1024

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


class TokenSource:
    """The current token of one account, used from one event loop.

    :param post: sends URL, headers and body to the token endpoint once.
    :param on_secret: receives every minted token, so that it can be masked in logs.
    """

    def __init__(
        self,
        credential: ClientCredentials,
        post: Callable[[str, dict[str, str], str], Awaitable[Result]],
        *,
        on_secret: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credential, self._post, self._on_secret, self._monotonic = credential, post, on_secret, monotonic
        self._lock = asyncio.Lock()
        self._token = ""
        self._failures, self._failure = 0, TokenError("token_unavailable", "")
        self.good_until = 0.0  # the moment (monotonic) at which the token is renewed

    async def get(self) -> str:
        """Return a token that is good for a while, or raise :class:`TokenError`."""
        failures = self._failures
        async with self._lock:
            if self._failures != failures:
                # Shared by all who have waited for it: one by one, they would ask, and wait, a hundred times.
                raise self._failure
            asked_at = self._monotonic()
            if not self._token or asked_at >= self.good_until:
                self._token = ""
                try:
                    token, life = read_token(await self._post(*token_request(self._credential)), self._credential)
                except TokenError as error:
                    self._failures, self._failure = self._failures + 1, error
                    raise
                self._on_secret(token)
                self._token, self.good_until = token, asked_at + life
            return self._token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless a newer one has taken its place."""
        if token == self._token:
            self._token = ""


def token_request(credential: ClientCredentials) -> tuple[str, dict[str, str], str]:
    """Return URL, headers and body of the request for a token (RFC 6749, 2.3.1 and 4.4)."""
    fields = {"grant_type": "client_credentials", "scope": credential.scope, **dict(credential.parameters)}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    if credential.encoding == "form" and credential.method == "client_secret_basic":
        try:
            account = f"{credential.client_id}:{credential.client_secret}".encode("latin-1")
        except UnicodeEncodeError:
            who = "login (client id) or password (client secret) of the connection"
            text = f"{who} holds characters that no header can carry"
            raise TokenError("credential_not_latin1", text, refused=True) from None
        headers["Authorization"] = "Basic " + base64.b64encode(account).decode()
    else:
        fields |= {"client_id": credential.client_id, "client_secret": credential.client_secret}
    fields = {name: text for name, text in fields.items() if text}
    if credential.encoding == "json":  # as Auth0 documents it
        return credential.token_url, {**headers, "Content-Type": "application/json"}, json.dumps(fields)
    return credential.token_url, headers, urlencode(fields)


def read_token(result: Result, credential: ClientCredentials, now: datetime | None = None) -> tuple[str, float]:
    """Return the token of an answer and the seconds, from its request on, for which it is used.

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
        advice = "grant it to the client, or correct scope in the connection"
        text = f"{where} grants no scope {' '.join(sorted(missing))!r}: {advice}"
        raise TokenError("token_scope", text, refused=True)
    try:
        life = float(reply.get("expires_in"))  # type: ignore[arg-type]  # whatever it is
    except (TypeError, ValueError, OverflowError):
        life = UNTOLD_LIFE
    life = life if 0 < life < LONGEST_WAIT * 30 else UNTOLD_LIFE
    return str(token), life - min(AHEAD, life / 5)


def token_trouble(token: Any) -> str:
    """Return why a token cannot be used; empty for one that can."""
    if not isinstance(token, str) or not token:
        return "its answer holds no access_token"
    if len(token) > LONGEST_TOKEN:
        return f"access_token has {len(token)} characters, and no server takes more than {LONGEST_TOKEN}"
    fine = token.isascii() and token.isprintable() and " " not in token
    return "" if fine else "access_token holds characters that no header can carry"
