"""Which record of a request is which contact of its answer.

An answer is matched in steps, from the most certain to the least certain one. Each step gets what the steps before have
left. No step guesses which record was created: the order decides only between records that are alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from airflow_provider_contacts.vendor_kit.json_values import as_id, as_mapping
from airflow_provider_contacts.vendor_kit.vendor import Doubt, Replies, Reply

Content = Mapping[str, Any]
Key = Callable[[Content], Hashable | None]
Agree = Callable[[Content, Content], bool]


class Shown(NamedTuple):
    """Hold the contacts of an answer, in columns; one without content has no id of its own, and proves nothing."""

    ids: Sequence[str | None]
    contents: Sequence[Content | None]


@dataclass(frozen=True, slots=True)
class Rest:
    """The records and contacts to be matched, and what is known so far.

    :param fates: by place shown, what became of a record that was not created.
    :param pairs: index sent to place shown.
    :param left_out: indices of records that are none of the contacts.
    """

    sent: Sequence[Content]
    shown: Sequence[Content | None]
    fates: Mapping[int, Hashable]
    pairs: Mapping[int, int]
    left_out: Collection[int] = ()

    @property
    def indices(self) -> list[int]:
        """Records without a contact."""
        return [index for index in range(len(self.sent)) if index not in self.pairs and index not in self.left_out]

    @property
    def contacts(self) -> dict[int, Content]:
        """Contacts without a record, by place."""
        taken = set(self.pairs.values())
        return {place: one for place, one in enumerate(self.shown) if one is not None and place not in taken}


Step = Callable[[Rest], Mapping[int, int]]


def identified(items: Sequence[Any]) -> Shown:
    """Return the contacts of a list; those without an id, and those that share one, are not told apart."""
    contents = list(map(as_mapping, items))
    ids = [as_id(content.get("id")) for content in contents]
    times = Counter(map(str.lower, filter(None, ids)))
    pairs = zip(ids, contents, strict=True)
    return Shown(ids, [content if one and times[one.lower()] == 1 else None for one, content in pairs])


def matched(
    sent: Sequence[Content],
    shown: Shown,
    steps: Sequence[Step],
    otherwise: Doubt,
    exceptions: Mapping[int, Reply] | None = None,
) -> Replies:
    """Return the replies of an answer, one a record.

    :param sent: the payloads as they were sent.
    :param shown: the contacts of the answer.
    :param steps: how records and contacts are paired, such as ``by(...)`` and ``in_order(...)``.
    :param otherwise: reply for a record without a contact.
    :param exceptions: by place in the answer, the reply for a contact that was not created.
    """
    exceptions = exceptions or {}
    pairs: dict[int, int] = {}
    for step in steps:
        if len(pairs) == len(sent):
            break
        pairs.update(step(Rest(sent, shown.contents, exceptions, pairs)))
    ids: list[str | None] = [None] * len(sent)
    others: dict[int, Reply] = {}
    for index in range(len(sent)):
        place = pairs.get(index)
        if place is None:
            others[index] = otherwise
        elif place in exceptions:
            others[index] = exceptions[place]
        else:
            ids[index] = shown.ids[place]
    return Replies(ids, others)


def echo(names: Collection[str]) -> Step:
    """Return the step that pairs all in order, if each contact repeats the fields ``names`` of its record exactly."""

    def step(rest: Rest) -> Mapping[int, int]:
        told = [
            {name: value for name, value in (content or {}).items() if value is not None and name in names}
            for content in rest.shown
        ]
        return {} if rest.pairs or told != list(rest.sent) else {index: index for index in range(len(told))}

    return step


def by(key: Key, *, agree: Agree | None = None, letters: Key | None = None, some: bool = False) -> Step:
    """Return the step that pairs by a key, where as many contacts as records have it. ``None`` is never paired.

    Different records with one key are paired in their order, and only if the answer says the same of all of them.

    :param key: takes a record or a contact, returns its key.
    :param agree: takes a record and a contact; a key whose pairs do not all agree is not paired.
    :param letters: takes a record or a contact of one key, returns what orders them before their places do.
    :param some: whether fewer contacts than records may be shown, if the records are equal.
    """

    def step(rest: Rest) -> Mapping[int, int]:
        wanted: dict[Hashable, list[int]] = defaultdict(list)
        for index in rest.indices:
            wanted[key(rest.sent[index])].append(index)
        wanted.pop(None, None)
        contacts = rest.contacts if wanted else {}
        shown: dict[Hashable, list[int]] = defaultdict(list)
        for place, content in contacts.items():
            shown[key(content)].append(place)
        found: dict[int, int] = {}
        for one, indices in wanted.items():
            places = shown.get(one, [])
            equal = len(indices) == 1 or len({repr(rest.sent[index]) for index in indices}) == 1
            certain = equal or len(set(map(rest.fates.get, places))) == 1
            if not (certain and len(places) == len(indices)) and not (some and equal and len(places) < len(indices)):
                continue
            if letters is not None and len(indices) > 1:
                indices.sort(key=lambda index: repr(letters(rest.sent[index])))
                places.sort(key=lambda place: repr(letters(contacts[place])))
            pairs = dict(zip(indices, places, strict=False))
            if agree is None or all(agree(rest.sent[index], contacts[place]) for index, place in pairs.items()):
                found |= pairs
        return found

    return step


def in_order(agree: Agree) -> Step:
    """Return the step that pairs all that are left in order, or none of them.

    The answer must have as many places as there are records, the pairs so far must stand in their places, and every
    record that is left must agree with the contact in its place, and with none of which the answer says something else.

    :param agree: takes a record and a contact; tells whether they can be the same.
    """

    def step(rest: Rest) -> Mapping[int, int]:
        left, contacts = rest.indices, rest.contacts
        if len(rest.shown) != len(rest.sent) or any(index != place for index, place in rest.pairs.items()):
            return {}
        if not all(index in contacts and agree(rest.sent[index], contacts[index]) for index in left):
            return {}
        for index in left if len(set(map(rest.fates.get, left))) > 1 else ():
            if len({rest.fates.get(place) for place in left if agree(rest.sent[index], contacts[place])}) > 1:
                return {}
        return {index: index for index in left}

    return step
