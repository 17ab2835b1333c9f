"""Credentials: what a request carries, and how a vendor file says from which fields of a connection it comes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.vendor_kit.forms import Account, Setting


@dataclass(frozen=True, slots=True)
class FixedHeader:
    """Hold one ``Authorization`` header that never changes."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """Hold what an OAuth 2 client credentials grant needs (RFC 6749, 4.4).

    :param token_url: the token endpoint.
    :param client_id: from the login.
    :param client_secret: from the password.
    :param method: how client id and secret reach the token endpoint (names of RFC 7591).
    :param encoding: of the token request's body; ``"json"`` is what Auth0 documents.
    :param parameters: further pairs of name and value in the token request.
    :param scope: asked for, and checked where the answer names one; empty: none is asked for.
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
    """Describe how a connection gives a credential, and what its form shows for that.

    :param credential: takes an account, returns its credential; raises ``ConfigError`` if the account has none.
    :param labels: names of login and password in the form; a field without a label is hidden.
    :param examples: placeholders of empty fields.
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
    """Return the authentication by an API key: the password, sent as a bearer token."""

    def credential(account: Account) -> Credential:
        if not account.password:
            raise ConfigError(f"the password is missing: the API key, such as {example}")
        return bearer(account.password)

    return Auth(credential=credential, labels={"password": "API key"}, examples={"password": example})


def login_and_password(login: str, password: str, example: str = "") -> Auth:
    """Return Basic authentication by login and password.

    :param login: label of the login in the form.
    :param password: label of the password.
    :param example: placeholder of the login.
    """

    def credential(account: Account) -> Credential:
        if not account.login or not account.password:
            raise ConfigError(f"login ({login}) and password ({password}) are both needed")
        if ":" in account.login:
            raise ConfigError("the login must not contain a colon, which ends the login in Basic authentication")
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
    """Return OAuth 2 client credentials; with an empty login, the password is a ready bearer token.

    :param token_url: the token endpoint, or a function of the account; the extra key of this name takes precedence.
    :param where: the default in the form's words, if it depends on the account.
    :param method: how client id and secret reach the token endpoint (names of RFC 7591).
    :param encoding: of the token request's body.
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
