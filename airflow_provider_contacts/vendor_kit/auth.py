"""Credentials: what a request carries, and the words by which a vendor says how an account gives it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.vendor_kit.forms import Account, Setting


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """One ``Authorization`` header that never changes."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """OAuth 2 client credentials grant (RFC 6749, 4.4).

    :param method: how client id and secret are shown to the token endpoint (RFC 7591 names).
    :param encoding: body of the token request; ``"json"`` is what Auth0 documents.
    :param scope: asked for, and checked in the reply where the reply tells.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_post"
    encoding: Literal["form", "json"] = "form"
    parameters: tuple[tuple[str, str], ...] = ()
    scope: str = ""


Credential = FixedHeader | ClientCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How an account gives a credential, and what becomes of the connection form's standard fields for it.

    :param labels: what the form calls login and password; one without a label is hidden.
    :param examples: what it shows in an empty one.
    :param credential: raises ``ConfigError`` for an account that makes none.
    :param settings: extra keys of the connection.
    """

    credential: Callable[[Account], Credential]
    labels: Mapping[str, str] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()


def bearer(token: str) -> FixedHeader:
    """Return the header for a ready token or API key."""
    return FixedHeader(f"Bearer {token}")


def basic(user: str, password: str) -> FixedHeader:
    """Return the RFC 7617 header, UTF-8 and unwrapped. ``user`` must hold no colon."""
    return FixedHeader("Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii"))


def api_key(example: str = "") -> Auth:
    """Return the word for a static key in the password, sent as a bearer token."""

    def credential(account: Account) -> Credential:
        if not account.password:
            raise ConfigError(f"the password is missing: the API key, such as {example}")
        return bearer(account.password)

    return Auth(credential=credential, labels={"password": "API key"}, examples={"password": example})


def login_and_password(login: str, password: str, example: str = "") -> Auth:
    """Return the word for Basic authentication, with what the form calls both fields, and an example of a login."""

    def credential(account: Account) -> Credential:
        if not account.login or not account.password:
            raise ConfigError(f"login ({login}) and password ({password}) are both needed")
        if ":" in account.login:
            raise ConfigError("the login must not hold a colon: Basic authentication cuts there")
        return basic(account.login, account.password)

    return Auth(credential=credential, labels={"login": login, "password": password}, examples={"login": example})


def client_credentials(
    token_url: str | Callable[[Account], str],
    where: str = "",
    *,
    method: Literal["client_secret_basic", "client_secret_post"] = "client_secret_post",
    encoding: Literal["form", "json"] = "form",
    parameters: Mapping[str, str] | None = None,
    scope: str = "",
) -> Auth:
    """Return the word for OAuth 2 client credentials; with an empty login the password is a ready bearer token.

    :param token_url: one for all, or that of an account; the extra key of this name overrides it.
    :param where: what the form says of its default, if it depends on the account.
    :param parameters: extra keys that are sent to the token endpoint, with their defaults.
    :param scope: default of the extra key of this name; empty: no scope is asked for.
    """
    named = {**(parameters or {}), **({"scope": scope} if scope else {})}

    def credential(account: Account) -> Credential:
        if not account.password:
            raise ConfigError("the password is missing: the client secret, or a bearer token if the login is empty")
        if not account.login:
            return bearer(account.password)
        given = {name: account.extra[name] for name in named}
        return ClientCredentials(
            token_url=account.extra.get("token_url")
            or (token_url if isinstance(token_url, str) else token_url(account)),
            client_id=account.login,
            client_secret=account.password,
            method=method,
            encoding=encoding,
            scope=given.pop("scope", ""),
            parameters=tuple(given.items()),
        )

    absent = where or str(token_url)
    settings = (
        # No default in the form: Airflow shows no value of a saved key whose name has "token" in it.
        Setting("token_url", "Token URL", "Where tokens are requested", absent=absent),
        *(
            Setting(name, name.capitalize(), f"{name.capitalize()} of the token", default=default)
            for name, default in named.items()
        ),
    )
    labels = {"login": "Client ID", "password": "Client secret (or bearer token, with an empty client ID)"}
    return Auth(credential=credential, labels=labels, settings=settings)
