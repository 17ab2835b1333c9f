"""Is this contact that record? What was sent against what a read shows, and which contact is whose.

Vendors change what they store: the case of an email, the blanks of a name, the signs of a phone number. So texts are
compared without them, and what is like a record without agreeing with it proves nothing either way.
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
"""Digits from which a text of digits and dialling signs is compared as a phone number."""

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)


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
    sought = traits(sent, identity)
    seen = traits(shown, identity)
    shared = shares(sought, seen)
    compared = [name for name in sent if name in shown]
    agrees = all(agree(sent[name], shown[name]) for name in compared)
    nameless = bool(compared) and not sought
    if agrees and (shared or (nameless and not seen)):
        return Likeness.SAME
    # Neither the same address under another name, nor agreement on what tells nobody apart, proves anything.
    if shared or (agrees and (nameless or not seen)):
        return Likeness.LIKE
    return Likeness.OTHER


def agree(sent: Any, shown: Any) -> bool:
    """Tell whether a value that is shown is the one that was sent; what is shown beyond it does not matter."""
    if isinstance(sent, Mapping):
        if not isinstance(shown, Mapping):
            return False
        return all(agree(value, shown[name]) for name, value in sent.items() if name in shown)
    if isinstance(sent, Sequence) and not isinstance(sent, str):
        if not isinstance(shown, Sequence) or isinstance(shown, str):
            return False
        options = {
            index: [other for other, value in enumerate(shown) if agree(one, value)] for index, one in enumerate(sent)
        }
        return len(assign(options)) == len(sent)
    if sent is None or shown is None:
        # An empty field may come back as null, and null as an empty field.
        return sent in (None, "") and shown in (None, "")
    return same_text(plain(sent), plain(shown))


def same_text(one: str, other: str) -> bool:
    """Tell whether two plain texts say the same, as phone numbers where both are some."""
    if one == other:
        return True
    left, right = digits(one), digits(other)
    # A country code that the vendor adds or drops leaves the end as it was.
    return bool(left and right) and (left.endswith(right) or right.endswith(left))


def plain(value: Any) -> str:
    """Return a scalar as text without case and surplus blanks."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def digits(text: str) -> str:
    """Return a phone number's digits without leading zeros; nothing for any other text."""
    if not PHONE.fullmatch(text):
        return ""
    found = "".join(sign for sign in text if sign.isdecimal()).lstrip("0")
    return found if len(found) >= SHORTEST_PHONE else ""


def traits(payload: Payload, identity: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return, by path, the texts that tell a person from another; paths without any are left out."""
    found = {
        path: frozenset(text for text in map(plain, leaves(payload, path.split("."))) if text) for path in identity
    }
    return {path: texts for path, texts in found.items() if texts}


def handles(text: str) -> Iterator[str]:
    """Yield what two texts have in common whenever they say the same."""
    yield text
    end = digits(text)[-SHORTEST_PHONE:]
    if end:
        yield f"#{end}"


class Index:
    """The sought records that a contact could be like: a long list must not be compared with every one of them.

    :param sought: payloads by any number.
    """

    def __init__(self, sought: Mapping[int, Payload], identity: Sequence[str]) -> None:
        self._identity = identity
        self._by_trait: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._nameless = Contents()
        self._all = Contents()
        for number, payload in sought.items():
            found = traits(payload, identity)
            for path, texts in found.items():
                for text in texts:
                    for handle in handles(text):
                        self._by_trait[path, handle].add(number)
            self._all.add(number, payload)
            if not found:
                self._nameless.add(number, payload)

    def candidates(self, shown: Payload) -> set[int]:
        """Return the numbers of all records that the contact is not surely another one than."""
        found = traits(shown, self._identity)
        if not found:
            return self._all.candidates(shown)
        keys = [(path, handle) for path, texts in found.items() for text in texts for handle in handles(text)]
        return self._nameless.candidates(shown).union(*(self._by_trait.get(key, ()) for key in keys))


class Contents:
    """Payloads by their plain fields: one that agrees with a contact agrees in whichever field both have."""

    def __init__(self) -> None:
        self._groups: defaultdict[frozenset[str], set[int]] = defaultdict(set)
        self._by_text: defaultdict[tuple[frozenset[str], str, str], set[int]] = defaultdict(set)

    def add(self, number: int, payload: Payload) -> None:
        """Take in a payload."""
        texts = plain_fields(payload)
        group = frozenset(texts)
        self._groups[group].add(number)
        for name, text in texts.items():
            for handle in handles(text):
                self._by_text[group, name, handle].add(number)

    def candidates(self, shown: Payload) -> set[int]:
        """Return the numbers of all payloads that could agree with what is shown."""
        texts = plain_fields(shown)
        found: set[int] = set()
        for group, numbers in self._groups.items():
            name = min(group & shown.keys(), default=None)
            if name is None:
                found |= numbers
            elif name in texts:
                found.update(*(self._by_text.get((group, name, handle), ()) for handle in handles(texts[name])))
        return found


def plain_fields(payload: Payload) -> dict[str, str]:
    """Return the fields that hold a plain text, a number or a truth value, and something."""
    texts = {name: plain(value) for name, value in payload.items() if isinstance(value, str | int | float)}
    return {name: text for name, text in texts.items() if text}


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


def shares(one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]) -> bool:
    """Tell whether two sets of traits have a text, or the end of a phone number, in common under the same path."""
    return any(
        not {*handles(left)}.isdisjoint(handles(right))
        for path, texts in one.items()
        for left in texts
        for right in other.get(path, ())
    )


def assign(options: Mapping[A, Sequence[B]]) -> dict[A, B]:
    """Return who gets what, so that as many as possible get one of their options and nothing is given twice."""
    owner: dict[B, A] = {}
    for one in options:
        # From a taken option on to what its owner could have instead; no recursion, since a thousand may be equal.
        came: dict[B, A] = {}
        queue = deque([one])
        free: B | None = None
        while queue and free is None:
            taker = queue.popleft()
            for option in options[taker]:
                if option in came:
                    continue
                came[option] = taker
                if option not in owner:
                    free = option
                    break
                queue.append(owner[option])
        held = {taker: option for option, taker in owner.items()} if free is not None else {}
        while free is not None:
            taker = came[free]
            owner[free] = taker
            free = held.get(taker) if taker != one else None
    return {taker: option for option, taker in owner.items()}
