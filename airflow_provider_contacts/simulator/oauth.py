"""Tokens by the client credentials grant (RFC 6749, 4.4), and the credentials in headers."""

from __future__ import annotations

import base64
import math
import random
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

from airflow_provider_contacts.simulator.knobs import Knob, Settings
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, World, parsed

_NOT_STORED = {"Cache-Control": "no-store"}


def token_knobs(life: str) -> tuple[Knob, ...]:
    """Return the knobs of a vendor with a token endpoint."""
    return (
        Knob("token_life", "number", life, "seconds after which a token is refused; expires_in says the same"),
        Knob("expires_in", "text", "", "what expires_in says instead; none: left out"),
        Knob("ready_tokens", "text", "any",
             "bearer tokens that did not come from the token endpoint: any, none, or the only one accepted"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token given out, and until when; ``scope`` is ``None`` for a ready token, which may do everything."""

    until: float
    scope: str | None
    account: int


class Tokens:
    """The tokens of one vendor."""

    def __init__(self, prefix: str, world: World, knobs: Settings) -> None:
        self._prefix, self._world, self._knobs = f"sim.{prefix}.", world, knobs
        self._random = random.Random(f"{world.seed}.{prefix}.tokens")  # noqa: S311  # the tokens open nothing
        self.given: dict[str, Token] = {}

    def grant(self, scope: str, account: int) -> Answer:
        """Return the answer that holds a new token."""
        word = f"{self._prefix}{self._random.getrandbits(128):032x}"
        life = self._knobs["token_life"]
        self.given[word] = Token(self._world.now() + life, scope, account)
        reply: dict[str, Any] = {"access_token": word, "token_type": "Bearer"}
        if (told := self._knobs["expires_in"]) != "none":
            reply["expires_in"] = told or int(life)
        return Answer(200, reply | ({"scope": scope} if scope else {}), headers=dict(_NOT_STORED))

    def token_of(self, call: Call) -> Token:
        """Return the request's token (a ready one opens the one account of all); refuse (401) a missing or dead one."""
        word = credential_of(call)
        if not word:
            raise RefusedCallError(401, "Missing token")
        if word.startswith(self._prefix):
            token = self.given.get(word)
            if token is None or token.until <= self._world.now():
                raise RefusedCallError(401, "Token expired or revoked")
            return token
        ready = self._knobs["ready_tokens"]
        if ready not in {"any", word} or ready == "none":
            raise RefusedCallError(401, "Unknown token")
        return Token(math.inf, None, 0)


def basic_of(call: Call) -> tuple[str, str]:
    """Return user and password of a request, both empty if the header is missing or broken."""
    try:
        text = base64.b64decode(credential_of(call, "basic"), validate=True).decode("utf-8")
    except ValueError:
        return "", ""
    user, _, password = text.partition(":")
    return user, password


def token_request(call: Call, encoding: Literal["form", "json", "any"]) -> dict[str, str]:
    """Return the parameters of a token request; refuse one that is not in the wanted encoding."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    sent = {"application/json": "json", "application/x-www-form-urlencoded": "form"}.get(kind, "none")
    if sent == "none" or encoding not in {"any", sent}:
        raise oauth_error(400, "invalid_request", "the body is not in the documented encoding")
    if sent == "form":
        return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        body = parsed(call.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise oauth_error(400, "invalid_request", "the body is no JSON object")
    return {str(name): str(value) for name, value in body.items()}


def client_of(call: Call, parameters: dict[str, str], *, in_body: bool) -> str:
    """Return ``id:secret``: of the header (form-encoded, RFC 6749, 2.3.1), or of the body where that may be."""
    user, password = basic_of(call)
    if in_body and not user:
        user, password = parameters.get("client_id", ""), parameters.get("client_secret", "")
        return f"{user}:{password}"
    return f"{unquote_plus(user)}:{unquote_plus(password)}"


def oauth_error(status: int, error: str, description: str) -> RefusedCallError:
    """Return an error of a token endpoint (RFC 6749, 5.2)."""
    body = {"error": error, "error_description": description}
    return RefusedCallError(status, description, answer=Answer(status, body, headers=dict(_NOT_STORED)))


def credential_of(call: Call, wanted: str = "bearer") -> str:
    """Return what follows a scheme in the header, empty if it is missing or another one."""
    scheme, _, word = call.headers.get("authorization", "").partition(" ")
    return word.strip() if scheme.lower() == wanted else ""
