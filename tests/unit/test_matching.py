"""Which contact is which record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_contacts.reconcile.matching import Index, Likeness, agree, assign, compare

IDENTITY = ("email", "phones.number")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("a@B.example", "A@b.example"), (" Ann  Lee ", "ann lee"), ("Straße", "STRASSE"),
        ("+49 (30) 123-4567", "0049301234567"), ("030 1234567", "+49301234567"), (7, "7"), (True, "true"),
        ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1, "b": 2}, {"a": 1}), ([1, 2], [2, 1]),
        ([{"a": 1}], [{"a": 2}, {"a": 1, "id": "x"}]), (None, None), (None, ""), ("", None), ([], [])],
)  # fmt: skip
def test_what_agrees(sent: Any, shown: Any) -> None:
    assert agree(sent, shown)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("a", "b"), ("a", None), (None, "a"), ("+49301234567", "+49301234568"), ("12345", "0012345"),
        ("2026-01-02T10", "+2026-01-02"), ({"a": 1}, {"a": 2}), ({"a": 1}, [1]), ([1], {"a": 1}), ([1], "1"),
        ([1, 1], [1, 2]), ([1], []), ("1", ["1"])],
)  # fmt: skip
def test_what_does_not(sent: Any, shown: Any) -> None:
    assert not agree(sent, shown)


@pytest.mark.parametrize(
    ("sent", "shown", "likeness"),
    [
        ({"email": "a@b", "name": "A"}, {"email": "A@b", "name": "a"}, "same"),
        ({"email": "a@b", "name": "A"}, {"email": "a@b"}, "same"),
        ({"email": "a@b", "name": "A"}, {"email": "a@b", "name": "B"}, "like"),
        ({"email": "a@b", "name": "A"}, {"name": "A"}, "like"),
        ({"email": "a@b", "name": "A"}, {}, "like"),
        ({"email": "a@b", "name": "A"}, {"name": "A", "email": None}, "other"),
        ({"email": "a@b", "name": "A"}, {"name": "A", "email": "c@d"}, "other"),
        ({"phones": [{"number": "+44 (0)20 7946 0958"}]}, {"phones": [{"number": "+442079460958"}]}, "like"),
        ({"name": "A"}, {"name": "A"}, "same"),
        ({"name": "A"}, {"name": "A", "email": "a@b"}, "like"),
        ({"name": "A"}, {"name": "B", "email": "a@b"}, "other"),
        ({"name": "A"}, {"note": "A"}, "like"),
        # Nothing is nobody's address, though both have it.
        ({"email": None, "name": "A"}, {"email": None, "name": "B"}, "other"),
        ({"email": {"x": "y"}, "name": "A"}, {"email": {"x": "y"}, "name": "B"}, "other"),
        ({"phones": [{"number": "0123 4567"}]}, {"phones": [{"number": "+11234567", "type": "x"}]}, "same"),
        ({"email": "a@b", "phones": [{"number": "1"}]}, {"email": "a@b", "phones": []}, "like"),
    ],
)
def test_how_like_a_contact_is(sent: dict[str, Any], shown: dict[str, Any], likeness: Likeness) -> None:
    assert compare(sent, shown, IDENTITY) == likeness


TEXTS = st.sampled_from(["", "a", "A", "b", "a@b", "1234567", "+1 123-4567", "01234567"])
PAYLOADS = st.dictionaries(
    st.sampled_from(["email", "name", "note", "age"]), st.one_of(TEXTS, st.none(), st.integers(0, 2))
) | st.fixed_dictionaries(
    {}, optional={"phones": st.lists(st.fixed_dictionaries({"number": TEXTS})), "name": TEXTS, "email": TEXTS}
)


@example(sought=[{"name": "a"}], shown={"name": "a", "email": "a@b"})
@given(sought=st.lists(PAYLOADS, max_size=5), shown=PAYLOADS)
def test_the_index_leaves_out_only_what_is_surely_another(sought: list[dict[str, Any]], shown: dict[str, Any]) -> None:
    found = Index(dict(enumerate(sought)), IDENTITY).candidates(shown)
    like = {n for n, sent in enumerate(sought) if compare(sent, shown, IDENTITY) != "other"}
    assert like <= found


@given(st.dictionaries(st.integers(0, 6), st.lists(st.integers(0, 6), unique=True), max_size=6))
def test_as_many_as_possible_get_one_and_nothing_is_given_twice(options: dict[int, list[int]]) -> None:
    given_out = assign(options)
    assert len(set(given_out.values())) == len(given_out)
    assert all(option in options[taker] for taker, option in given_out.items())
    assert len(given_out) == most(list(options.values()), frozenset())


def most(rest: list[list[int]], used: frozenset[int]) -> int:
    """Try everything."""
    if not rest:
        return 0
    taken = [1 + most(rest[1:], used | {option}) for option in rest[0] if option not in used]
    return max([most(rest[1:], used), *taken])


def test_a_thousand_equal_ones_are_assigned() -> None:
    options = {taker: list(range(999)) for taker in range(1000)}
    assert len(assign(options)) == 999
