"""What a vendor says, made fit to be kept: without the task's secrets, without control characters, cut."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.transport.connection import Endpoint
from airflow_provider_contacts.vendor_kit.auth import ClientCredentials, basic, bearer
from airflow_provider_contacts.vendor_kit.sanitize import (
    ERRORS_KEPT,
    LONGEST_READ,
    MASK,
    MESSAGE_LENGTH,
    NAME_LENGTH,
    SHORTEST_SECRET,
    Secrets,
)
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected, Reply, Stop

ODD = 'k/e+y "q" <%\\&='
SECRETS = ["plain-secret-1", ODD, "\u00fcber-geheim", "A" * 9000]

FORMS: dict[str, Any] = {
    "plain": str,
    "url": quote,
    "whole url": lambda secret: quote(secret, safe=""),
    "form": quote_plus,
    "url in small letters": lambda secret: quote(secret, safe="").lower(),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json with slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
    "html": html.escape,
    "capitals": str.upper,
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "basic": lambda secret: base64.b64encode(f"{secret}:".encode()).decode(),
}


PAIRS = [(secret, form) for secret in SECRETS for form in FORMS if form != "capitals" or secret.isascii()]


@pytest.mark.parametrize(("secret", "form"), PAIRS)
def test_a_secret_is_masked_in_every_form(secret: str, form: str) -> None:
    shown = FORMS[form](secret)
    cleaned = Secrets([secret]).clean(f"Bearer {shown} is wrong ({shown})", MESSAGE_LENGTH)
    assert cleaned is not None
    assert cleaned.rstrip("=) ").startswith(f"Bearer {MASK}")
    assert cleaned.count(MASK) == 2
    assert shown.rstrip("=").lower() not in cleaned.lower()


WRITINGS: dict[str, Callable[[str], str]] = {
    "base64 of what holds it": lambda secret: base64.b64encode(f"Bearer {secret}, x".encode()).decode(),
    "base64 of json": lambda secret: base64.b64encode(f'{{"a": "{secret}"}}'.encode()).decode(),
    "base64 for a url": lambda secret: base64.urlsafe_b64encode(f"?>?{secret}?>?".encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "url, twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "url, every sign": lambda secret: "".join(f"%{ord(sign):02X}" for sign in secret),
    "html, by number": lambda secret: "".join(f"&#{ord(sign)};" for sign in secret),
    "json, by number": lambda secret: "".join(f"\\u{ord(sign):04x}" for sign in secret),
    "spaced": " ".join,
    "over two lines": lambda secret: f"{secret[:9]}\n    {secret[9:]}",
    "without its end": lambda secret: secret.rstrip("="),
    "with invisible signs": "\u200b".join,
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("secret", ["S3cr3t-ToKen/with+signs==", "?>plain>secret?1?", "abcdefghijklm"])
def test_a_secret_in_another_writing_is_masked(secret: str, writing: str) -> None:
    shown = WRITINGS[writing](secret)
    known = Secrets([secret])
    assert MASK in (known.clean(f"the header {shown} is wrong", MESSAGE_LENGTH) or "")
    replies: list[Reply] = [Created(shown), Doubt(shown, shown, shown), Rejected((RecordError(shown, shown, shown),))]
    told = "".join(map(str, map(known.reply, replies)))
    assert told.count(MASK) >= 5
    assert shown.strip("=") not in told


def test_a_short_secret_is_not_read_out_of_other_words() -> None:
    said = "a first name must not be longer than a hundred signs"
    assert Secrets(["tname", "must-no", "longerthan"]).clean(said, MESSAGE_LENGTH) == said


@given(
    st.text('abcAB1/+ %"\\', min_size=SHORTEST_SECRET, max_size=30),
    st.text(max_size=50),
    st.integers(0, 100_000),
    st.integers(1, 300),
)  # fmt: skip
def test_no_part_of_a_long_text_shows_a_secret(secret: str, around: str, length: int, count: int) -> None:
    text = (around.replace(secret, "") + secret) * count + "x" * length
    cleaned = Secrets([secret]).clean(text, NAME_LENGTH) or ""
    assert len(cleaned) <= NAME_LENGTH
    assert secret.lower() not in cleaned.lower()


def test_a_secret_at_the_end_of_what_is_read_is_not_shown_in_part() -> None:
    secret = "s3cret-" * 1000
    text = secret * (LONGEST_READ // len(secret) + 2)
    assert set(Secrets([secret]).clean(text, MESSAGE_LENGTH) or "*") == {"*"}


def test_what_is_too_short_is_masked_as_a_header_alone() -> None:
    known = Secrets(["Bearer abcd", "abcd"])
    assert known.clean("abcd is no word; Authorization: Bearer abcd", 100) == f"abcd is no word; Authorization: {MASK}"


def test_a_secret_within_another_does_not_uncover_it() -> None:
    assert Secrets(["inner", "outer-inner-outer"]).clean("outer-inner-outer", 100) == MASK


def test_nothing_is_masked_that_is_no_secret() -> None:
    known = Secrets(["plain-secret-1"])
    for text in ("plain-secret-2", "", "\u00fc", "plain"):
        assert known.clean(text, 100) == text
    assert known.clean(None, 100) is None
    assert Secrets().clean("plain-secret-1", 5) == "plain"


def test_a_secret_that_comes_later_is_masked_from_then_on() -> None:
    known = Secrets()
    assert known.clean("minted-1", 100) == "minted-1"
    known.add("minted-1")
    known.add("minted-2")
    assert known.clean("minted-1 minted-2", 100) == f"{MASK} {MASK}"
    assert "minted" not in repr(known)


SAID = "plain-secret-1 " + "x" * 5000
KNOWN = Secrets(["plain-secret-1"])


@pytest.mark.parametrize(
    "reply",
    [Created(SAID), Again(SAID, SAID), Stop(SAID, SAID), Doubt(SAID, SAID, SAID),
     Rejected((RecordError(SAID, SAID, SAID),) * 1000)],
)  # fmt: skip
def test_every_text_of_a_reply_is_masked_and_cut(reply: Reply) -> None:
    cleaned = KNOWN.reply(reply)
    assert type(cleaned) is type(reply)
    errors = cleaned.errors if isinstance(cleaned, Rejected) else (RecordError("", None, None),)
    assert len(errors) <= ERRORS_KEPT
    names = [getattr(cleaned, "id", None), getattr(cleaned, "code", None)]
    names += [text for error in errors for text in (error.code, error.field)]
    messages = [getattr(cleaned, "message", None), *(error.message for error in errors)]
    told = [text for text in [*names, *messages] if text]
    assert told
    assert all(text.startswith(f"{MASK} x") for text in told)
    assert max(map(len, filter(None, names)), default=0) in {0, NAME_LENGTH}
    assert max(map(len, filter(None, messages)), default=0) in {0, MESSAGE_LENGTH}


@pytest.mark.parametrize("changed", ["canary.minted-token.1", "CANARY_MINTED_TOKEN_1", "body.canaryMintedToken1"])
def test_a_name_whose_signs_a_reader_has_changed_is_masked_whole(changed: str) -> None:
    known = Secrets(["canary/minted-token/1"])
    assert known.reply(Rejected((RecordError(changed, changed),))) == Rejected((RecordError(MASK, MASK),))
    assert known.reply(Stop(changed)) == Stop(MASK)
    assert known.reply(Stop("canary_minted")) == Stop("canary_minted")


def test_a_good_answer_stays_what_it_is() -> None:
    reply = Created("id-1")
    assert KNOWN.reply(reply) is reply
    assert KNOWN.reply(Created()) == Created()
    assert KNOWN.reply(Created(7)) == Created("7")  # type: ignore[arg-type]  # as a careless reader of a vendor might


@pytest.mark.parametrize(
    ("endpoint", "hidden"),
    [
        (Endpoint(base_url="https://v", credential=bearer("key-12345")), ["Bearer key-12345", "key-12345"]),
        (Endpoint(base_url="https://v", credential=basic("ada@example.com", "key-12345")),
            ["key-12345", basic("ada@example.com", "key-12345").value, "ada@example.com:key-12345"]),
        (Endpoint(base_url="https://v",
            credential=ClientCredentials(token_url="https://t", client_id="client", client_secret="key-12345")),
            ["key-12345", basic("client", "key-12345").value.removeprefix("Basic ")]),
        (Endpoint(base_url="https://v", credential=bearer("key-12345"), proxy="http://ada:p%40ssword@proxy:3128"),
            ["p@ssword", "p%40ssword", basic("ada", "p@ssword").value.removeprefix("Basic "), "ada:p%40ssword"]),
    ],
    ids=["bearer", "basic", "client", "proxy"],
)  # fmt: skip
def test_an_endpoint_knows_its_secrets(endpoint: Endpoint, hidden: list[str]) -> None:
    for text in hidden:
        cleaned = endpoint.secrets.clean(f"<{text}>", 1000) or ""
        assert MASK in cleaned
        assert not {"key-12345", "p@ssword", "p%40ssword"} & set(cleaned.strip("<>").replace(":", " ").split())
    assert endpoint.secrets.clean("ada@example.com client", 100) == "ada@example.com client"


def test_the_environments_proxy_is_a_secret_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:pr0xy-word@proxy:3128")
    endpoint = Endpoint(base_url="https://v", credential=bearer("key-12345"))
    assert endpoint.secrets.clean("pr0xy-word", 100) == MASK
