"""Is this contact that record? The payload that was sent is compared with the fields that a read shows.

Vendors change what they store: the case of an email, the spaces in a name, the punctuation of a phone number. So texts
are compared without them, and a contact that is like a record without agreeing with it proves nothing either way.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from airflow_provider_contacts.vendor_kit.json_values import fold_text
from airflow_provider_contacts.vendor_kit.vendor import Payload

PHONE = re.compile(r"[+0-9][0-9 ()./\-\u2010-\u2015\u00a0]*")

SHORTEST_PHONE = 7
"""Digits from which a text of digits and dialling characters is compared as a phone number."""

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)

Likeness = Literal["same", "like", "other"]
"""What a contact says about a sought record."""


def compare(sent: Payload, shown: Payload, identity: Sequence[str]) -> Likeness:
    """Return whether a contact that shows these fields is the record that was sent.

    :param identity: dotted paths of the fields that tell one person from another.
    """
    sought, seen = traits(sent, identity), traits(shown, identity)
    shared = not sought.isdisjoint(seen)
    compared = [name for name in sent if name in shown]
    agrees = all(agree(sent[name], shown[name]) for name in compared)
    nameless = bool(compared) and not sought
    if agrees and (shared or (nameless and not seen)):
        return "same"
    # Neither the same address under another name, nor agreement on fields that many share, proves anything.
    return "like" if shared or (agrees and (nameless or not seen)) else "other"


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
    return fold_text(str(value))


def digits(text: str) -> str:
    """Return a phone number's digits without leading zeros; nothing for any other text."""
    found = "".join(filter(str.isdecimal, text)).lstrip("0") if PHONE.fullmatch(text) else ""
    return found if len(found) >= SHORTEST_PHONE else ""


def handles(text: str) -> set[str]:
    """Return what two plain texts have in common if they say the same: the text, or the end of a phone number."""
    number = digits(text)
    return {text, f"#{number[-SHORTEST_PHONE:]}"} if number else {text}


def traits(payload: Payload, identity: Sequence[str]) -> set[tuple[str, str]]:
    """Return the texts that tell a person from another, as handles, each with its path."""
    texts = ((path, plain(leaf)) for path in identity for leaf in leaves(payload, path.split(".")))
    return {(path, handle) for path, text in texts if text for handle in handles(text)}


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

    Two that agree have a trait in common, or one of them has none.
    """

    def __init__(self, sought: Mapping[int, Payload], identity: Sequence[str]) -> None:
        self._identity = identity
        self._all = set(sought)
        self._nameless: set[int] = set()
        self._by_trait: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for number, payload in sought.items():
            found = traits(payload, identity)
            if not found:
                self._nameless.add(number)
            for trait in found:
                self._by_trait[trait].add(number)

    def candidates(self, shown: Payload) -> set[int]:
        """Return the numbers of all records that the contact is not surely another one than."""
        found = traits(shown, self._identity)
        return self._nameless.union(*(self._by_trait.get(trait, ()) for trait in found)) if found else self._all


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
