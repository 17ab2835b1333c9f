"""Is this contact that record? The payload that was sent is compared with the fields that a read shows.

Vendors change what they store: the case of an email, the spaces in a name, the punctuation of a phone number. So texts
are compared without them, and a contact that is like a record without agreeing with it proves nothing either way.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, TypeVar

from airflow_provider_contacts.vendor_kit.vendor import Payload

PHONE = re.compile(r"[+0-9][0-9 ()./\-\u2010-\u2015\u00a0]*")

SHORTEST_PHONE = 7
"""Digits from which a text of digits and dialling characters is compared as a phone number."""

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)
Traits = Mapping[str, frozenset[str]]


class Likeness(Enum):
    """What a contact says about a sought record."""

    SAME = "same"
    LIKE = "like"
    OTHER = "other"


def compare(sent: Payload, shown: Payload, identity: Sequence[str]) -> Likeness:
    """Return whether a contact is the record that was sent.

    :param shown: the fields that the read shows, as they would be sent.
    :param identity: dotted paths of the fields that tell one person from another.
    """
    sought, seen = traits(sent, identity), traits(shown, identity)
    shared = any(not texts.isdisjoint(seen.get(path, ())) for path, texts in sought.items())
    compared = [name for name in sent if name in shown]
    agrees = all(agree(sent[name], shown[name]) for name in compared)
    nameless = bool(compared) and not sought
    if agrees and (shared or (nameless and not seen)):
        return Likeness.SAME
    # Neither the same address under another name, nor agreement on fields that many share, proves anything.
    return Likeness.LIKE if shared or (agrees and (nameless or not seen)) else Likeness.OTHER


def agree(sent: Any, shown: Any) -> bool:
    """Tell whether a shown value is the one that was sent; what is shown beyond it does not matter."""
    if isinstance(sent, Mapping):
        return isinstance(shown, Mapping) and all(agree(sent[name], shown[name]) for name in sent if name in shown)
    if isinstance(sent, Sequence) and not isinstance(sent, str):
        if not isinstance(shown, Sequence) or isinstance(shown, str):
            return False
        options = {
            place: [other for other, value in enumerate(shown) if agree(one, value)] for place, one in enumerate(sent)
        }
        return len(assign(options)) == len(sent)
    if sent is None or shown is None:
        # An empty field may come back as null, and null as an empty field.
        return sent in (None, "") and shown in (None, "")
    one, other = plain(sent), plain(shown)
    left, right = digits(one), digits(other)
    # A country code that the vendor adds or drops leaves the end as it was.
    return one == other or bool(left and right and (left.endswith(right) or right.endswith(left)))


def plain(value: Any) -> str:
    """Return a scalar as text without case and surplus spaces."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def digits(text: str) -> str:
    """Return a phone number's digits without leading zeros; nothing for any other text."""
    found = "".join(filter(str.isdecimal, text)).lstrip("0") if PHONE.fullmatch(text) else ""
    return found if len(found) >= SHORTEST_PHONE else ""


def handles(text: str) -> set[str]:
    """Return what two plain texts have in common if they say the same: the text, or the end of a phone number."""
    number = digits(text)
    return {text, f"#{number[-SHORTEST_PHONE:]}"} if number else {text}


def traits(payload: Payload, identity: Sequence[str]) -> Traits:
    """Return, by path, the handles of the texts that tell a person from another; paths without any are left out."""
    found = {
        path: frozenset(
            handle for text in map(plain, leaves(payload, path.split("."))) if text for handle in handles(text)
        )
        for path in identity
    }
    return {path: texts for path, texts in found.items() if texts}


def leaves(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """Yield the scalars at a path, looking through lists."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for one in value:
            yield from leaves(one, path)
    elif path:
        if isinstance(value, Mapping) and path[0] in value:
            yield from leaves(value[path[0]], path[1:])
    elif value is not None and not isinstance(value, Mapping):
        yield value


class Index:
    """The sought records that a contact could be like: not every contact of a long list is compared with each of them.

    :param sought: payloads by any number.
    """

    def __init__(self, sought: Mapping[int, Payload], identity: Sequence[str]) -> None:
        self._identity = identity
        self._by_trait: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._all, self._nameless = Contents(), Contents()
        for number, payload in sought.items():
            found = traits(payload, identity)
            for path, texts in found.items():
                for text in texts:
                    self._by_trait[path, text].add(number)
            for contents in [self._all] if found else [self._all, self._nameless]:
                contents.add(number, payload)

    def candidates(self, shown: Payload) -> set[int]:
        """Return the numbers of all records that the contact is not surely another one than."""
        found = traits(shown, self._identity)
        if not found:
            return self._all.candidates(shown)
        keys = [(path, text) for path, texts in found.items() for text in texts]
        return self._nameless.candidates(shown).union(*(self._by_trait.get(key, ()) for key in keys))


class Contents(defaultdict[str, defaultdict[str, set[int]]]):
    """Numbers of payloads by a field and its handles: a contact that agrees with a payload agrees in that field."""

    def __init__(self) -> None:
        super().__init__(lambda: defaultdict(set))

    def add(self, number: int, payload: Payload) -> None:
        """Add a payload by its first field that holds a text or a number."""
        texts = {name: plain(value) for name, value in sorted(payload.items()) if isinstance(value, str | int | float)}
        name, text = next(((name, text) for name, text in texts.items() if text), ("", ""))
        for handle in handles(text):
            self[name][handle].add(number)

    def candidates(self, shown: Payload) -> set[int]:
        """Return the numbers of all payloads that could agree with what is shown."""
        found = set[int]()
        for name, numbers in self.items():
            some = map(numbers.get, handles(plain(shown[name]))) if name in shown else numbers.values()
            found.update(*filter(None, some))
        return found


def assign(options: Mapping[A, Sequence[B]]) -> dict[A, B]:
    """Return who gets what, so that as many as possible get one of their options and nothing is given twice."""
    given: dict[A, B] = {}
    owner: dict[B, A] = {}
    for start in options:
        # From a taken option on to what its owner could have instead; no recursion, since a thousand may be equal.
        wanted_by: dict[B, A] = {}
        queue = deque([start])
        while queue:
            taker = queue.popleft()
            fresh = [option for option in options[taker] if option not in wanted_by]
            wanted_by.update(dict.fromkeys(fresh, taker))
            free = next((option for option in fresh if option not in owner), None)
            if free is None:
                queue.extend(owner[option] for option in fresh)
                continue
            option: B | None = free
            while option is not None:
                taker = wanted_by[option]
                owner[option] = taker
                given[taker], option = option, given.get(taker)
            break
    return given
