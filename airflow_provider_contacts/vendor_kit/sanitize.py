"""What a vendor says, made safe to keep and to show: without secrets and control characters, and cut.

Answers pass here before outcomes are made of them, so that table, XCom, log and exception texts show the same.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote, quote_plus, unquote, urlsplit

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.auth import Credential, FixedHeader
from airflow_provider_contacts.vendor_kit.vendor import Created, Doubt, Rejected, Replies, Reply

NAME_LENGTH = 255  # characters of a code, a field or a vendor's id
MESSAGE_LENGTH = 2000
ERRORS_KEPT = 50

MASK = "***"  # as in Airflow's logs
SHORTEST_SECRET = 5  # characters, as in Airflow: anything shorter would be found in every other word
LEAST_BARE = 12  # letters and digits of a secret that are masked in whatever writing: fewer make up other words
LONGEST_READ = 65_536  # characters of a text that are looked at: what comes after is cut off anyway

# Control characters but tab and line ends, and surrogates: no database takes all of them.
UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
REPLACEMENT = "\ufffd"

JSON_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
NO_LETTER = re.compile(r"[\W_]+")
URL_ALPHABET = str.maketrans("+/", "-_")


def clean(text: str | None, length: int) -> str | None:
    """Return ``text`` without what cannot be stored, cut to ``length`` characters."""
    # What can be printed can be stored, and nearly all of it can.
    if text is None or (type(text) is str and len(text) <= length and text.isprintable()):
        return text
    # A vendor may send a number where a text is documented.
    return UNSTORABLE.sub(REPLACEMENT, str(text)[:length])


class Secrets:
    """The secrets that one task knows; they are masked in whatever a vendor says.

    Not safe for several threads: whoever uses the client adds to it.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._folded: list[str] = []
        self._bare: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(*known)

    def __repr__(self) -> str:
        """Show none of them."""
        return f"Secrets({MASK})"

    def add(self, *secrets: str) -> None:
        """Mask these, too, in every form in which a vendor can repeat them."""
        new = {form for secret in secrets for form in forms_of(secret) if len(form) >= SHORTEST_SECRET}
        self._bare |= {bare for bare in map(bared, secrets) if len(bare) >= SHORTEST_SECRET}
        if new - self._forms:
            self._forms |= new
            self._folded = list({form.casefold() for form in self._forms})
            longest_first = sorted(self._forms, key=len, reverse=True)  # one may hold another
            self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def clean(self, text: str | None, length: int) -> str | None:
        """Return ``text`` as :func:`clean` does, with every secret masked."""
        if text is None or self._pattern is None:
            return clean(text, length)
        said = str(text)
        part = said[:LONGEST_READ]
        folded = part.casefold()
        if any(form in folded for form in self._folded):
            part = self._pattern.sub(MASK, part)
        if len(said) > LONGEST_READ:
            # At the end may be the beginning of a secret that was cut.
            part = part[: -max(map(len, self._forms))]
        return MASK if self._rewritten(part, LEAST_BARE) else clean(part, length)

    def _rewritten(self, text: str, least: int) -> bool:
        """Tell whether a text holds the letters and digits of a secret, whatever stands between them."""
        bare = [one for one in self._bare if least <= len(one) <= len(text)]
        told = bared(undone(text)) if bare else ""
        return any(one in told for one in bare)

    def replies(self, replies: Replies) -> Replies:
        """Return what an answer says of its records, fit to be kept."""
        ids = self._ids(replies.ids)
        if ids is replies.ids and not replies.exceptions:
            return replies
        return Replies(ids, {place: self.reply(one) for place, one in replies.exceptions.items()})

    def _ids(self, ids: Sequence[str | None]) -> Sequence[str | None]:
        """Return ids as :meth:`clean` does; nearly always nothing is to be cleaned, and all are seen at once."""
        told = [one for one in ids if one is not None]
        if all(type(one) is str and len(one) <= NAME_LENGTH for one in told) and "".join(told).isprintable():
            text = "\n".join(told)
            folded = text.casefold()
            if not any(form in folded for form in self._folded) and not self._rewritten(text, LEAST_BARE):
                return ids
        return [self.clean(one, NAME_LENGTH) for one in ids]

    def reply(self, reply: Reply) -> Reply:
        """Return what a reply says of a record, fit to be kept."""
        if isinstance(reply, Created):
            found = self.clean(reply.id, NAME_LENGTH)
            return reply if found == reply.id else Created(found)
        if isinstance(reply, Rejected):
            return Rejected(tuple(map(self._error, reply.errors[:ERRORS_KEPT])))
        said = replace(reply, code=self._name(reply.code) or "", message=self.clean(reply.message, MESSAGE_LENGTH))
        return replace(said, id=self.clean(said.id, NAME_LENGTH)) if isinstance(said, Doubt) else said

    def _error(self, error: RecordError) -> RecordError:
        message = self.clean(error.message, MESSAGE_LENGTH)
        return RecordError(self._name(error.code) or "", self._name(error.field), message)

    def _name(self, text: str | None) -> str | None:
        """Return a code or a field, in which a reader may have replaced characters, such as slashes by dots."""
        name = self.clean(text, NAME_LENGTH)
        hidden = name is not None and MASK not in name and self._rewritten(str(text)[:LONGEST_READ], SHORTEST_SECRET)
        return MASK if hidden else name


def bared(text: str) -> str:
    """Return the letters and digits of a text."""
    return NO_LETTER.sub("", text.casefold())


def undone(text: str) -> str:
    """Return a text without the escapes of URLs (twice, too), HTML and JSON."""
    plain = JSON_ESCAPE.sub(lambda found: chr(int(found[1], 16)), html.unescape(text))
    return unquote(unquote(plain)) if "%" in plain else plain


def forms_of(secret: str) -> Iterator[str]:
    """Yield a secret as it may come back: plain, in a URL, in JSON within a text, in HTML, Base64, hexadecimal."""
    if not secret:
        return
    in_json = json.dumps(secret)[1:-1]
    yield from (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret))
    yield from (in_json, in_json.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    yield secret.encode("utf-8", "surrogatepass").hex()
    yield from in_base64(secret)


def in_base64(text: str) -> Iterator[str]:
    """Yield what stands in Base64, of both alphabets, wherever in what was encoded a text begins."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        # The character at either end that holds bits of a neighbour, too, is left out.
        whole = base64.b64encode(bytes(before) + data).decode("ascii").rstrip("=")
        part = whole[(0, 2, 3)[before] : len(whole) - ((before + len(data)) % 3 > 0)]
        yield from (part, part.translate(URL_ALPHABET))


def secrets_of(credential: Credential, proxies: Iterable[str | None]) -> Iterator[str]:
    """Yield what must be masked of a credential and of the proxies' URLs."""
    if isinstance(credential, FixedHeader):
        scheme, _, value = credential.value.partition(" ")
        yield value
        if scheme.lower() == "basic":
            with suppress(ValueError):
                pair = base64.b64decode(value).decode()
                yield from (pair, pair.partition(":")[2])
    else:
        yield from (credential.client_secret, f"{credential.client_id}:{credential.client_secret}")
    for proxy in filter(None, proxies):
        with suppress(ValueError):
            user, colon, password = urlsplit(proxy).netloc.rpartition("@")[0].partition(":")
            if colon:
                yield from (unquote(password), f"{unquote(user)}:{unquote(password)}")
