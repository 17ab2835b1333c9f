"""Intermezzo: its record, its addresses, and what its answers prove."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_contacts.errors import InvalidRecordError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.vendor import Again, Created, Doubt, Rejected
from airflow_provider_contacts.vendors.intermezzo import VENDOR
from tests.support.vendors import Faults, answer, brief, each, faults_of, named, payload_of, reasons, replies

ANN = {"name": "Ann Ames", "email": "ann@example.com"}
BOB = {"name": "Bob Bell", "email": "bob@example.com"}
CAT = {"name": "Cat Cole", "email": "cat@example.com"}
TRIO = [ANN, BOB, CAT]
MOBILE = {"phoneNumber": "1", "phoneType": "mobile"}


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        ({"name": "  Ann  "}, None),
        ({"name": "Ann", "email": "Ann@EXAMPLE.com"}, None),
        ({"name": "Ann", "email": None}, None),
        ({"first_name": "Ann", "last_name": "Ames"}, {"name": "Ann Ames"}),
        ({"first_name": "Ann", "last_name": None}, {"name": "Ann"}),
        ({"first_name": "", "last_name": "Ames"}, {"name": "Ames"}),
        ({"name": "Ann", "phone_number": "1"}, {"name": "Ann", "phone": MOBILE}),
        (
            {"name": "Ann", "phone_number": "1", "phone_type": "landline"},
            {"name": "Ann", "phone": {"phoneNumber": "1", "phoneType": "landline"}},
        ),
        ({"name": "Ann", "phone_type": "mobile"}, {"name": "Ann"}),
        ({"name": "Ann", "phone": {"phoneNumber": "1"}}, None),
        ({"name": "Ann", "roles": ["x", "y"]}, None),
        ({"name": "Ann", "roles": []}, None),
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any], payload: dict[str, Any] | None) -> None:
    assert payload_of(VENDOR, record) == (record if payload is None else payload)


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({"email": "ann@example.com"}, [("missing_field", "name")]),
        ({"name": ""}, [("too_short", "name")]),
        ({"name": "Ann", "email": "ann at example"}, [("invalid_email", "email")]),
        ({"name": "Ann", "age": 7}, [("unknown_field", "age")]),
        ({"name": "Ann", "phone": {"phone_number": "1"}}, [("unknown_field", "phone.phone_number")]),
        ({"name": "Ann", "phone": {"phoneNumber": 1}}, [("wrong_type", "phone.phoneNumber")]),
        ({"name": "Ann", "phone": "+49 30 1"}, [("invalid_json", "phone")]),
        ({"name": "Ann", "roles": '"boss"'}, [("wrong_type", "roles")]),
        ({"name": "Ann", "first_name": "Ann"}, [("conflict", "first_name")]),
        ({"name": "Ann", "phone": {}, "phone_number": "1"}, [("conflict", "phone_number")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: Faults) -> None:
    assert faults_of(VENDOR, record) == faults


def test_parts_of_a_name_are_texts() -> None:
    with pytest.raises(InvalidRecordError) as caught:
        VENDOR.contract.flat[0].apply({"first_name": 1, "last_name": 2})
    assert [error[:2] for error in caught.value.errors] == [("wrong_type", "first_name"), ("wrong_type", "last_name")]


def counted(counts: tuple[Any, Any, Any, Any], data: Any = None, errors: Any = None) -> dict[str, Any]:
    names = ("total", "succeeded", "failed", "unprocessed")
    return {**dict(zip(names, counts, strict=True)), "data": data, "errors": errors}


def refused(index: Any, code: Any = "NOT_FOUND", field: Any = "email") -> dict[str, Any]:
    return {"inputIndex": index, "errors": [{"code": code, "message": "m", "field": field, "params": {}}]}


def shown(record: Mapping[str, Any], number: int | str, **more: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "email": None, "phone": None, "roles": [], **record, **more}


A, B, C = (shown(record, number) for number, record in enumerate(TRIO))
REJECTED = "-NOT_FOUND@email"
AGAIN = "~unprocessed"
COUNTERS = " ".join(["?counters_disagree"] * 3)
UNMATCHED = " ".join(["?unmatched"] * 3)
WITHOUT_ERRORS = {name: value for name, value in counted((1, 1, 0, 0), [A]).items() if name != "errors"}


@pytest.mark.parametrize(
    ("body", "sent", "proven"),
    [
        (WITHOUT_ERRORS, [ANN], "+c0"),
        # Nobody to blame, and several reasons; the other designs are among the exchanges.
        (counted((3, 1, 0, 2), [B]), TRIO, f"{AGAIN} +c1 {AGAIN}"),
        (counted((3, 0, 0, 3)), TRIO, f"{AGAIN} {AGAIN} {AGAIN}"),
        (counted((2, 0, 2, 0), [], [refused(0), refused(1, "X", None)]), [ANN, BOB], f"{REJECTED} -X"),
        (counted((2, 1, 1, 0), [B], [refused(0, "A"), refused(0, "B", "name")]), [ANN, BOB], "-A@email,B@name +c1"),
        *(
            (counted((1, 0, 1, 0), [], [{"inputIndex": 0, "errors": inner}]), [ANN], "-unspecified")
            for inner in (None, [], "x", [7])
        ),
        # Counters that are none, or that disagree with each other, what was sent, is shown, or is named.
        *(
            (counted(counts, [A], []), [ANN], "?counters_missing")
            for counts in ((0, 0, 0, 0), (None, 1, 0, 0), (1, "1", 0, 0), (1, 1, False, 0), (1, 1, 0, -1))
        ),
        *((body, [ANN], "?counters_missing") for body in ([], None, 7, "x", [{"total": 1}])),
        *(
            (counted(counts, [C], [refused(1)]), TRIO, f"?counters_disagree {REJECTED} +c2")
            for counts in ((4, 2, 1, 1), (3, 3, 1, 0), (3, 2, 1, 1), (2, 2, 0, 0), (123, 123, 123, 123))
        ),
        *((counted((1, 1, 0, 0), data), [ANN], "?counters_disagree") for data in each([{}, "x", 7, [None, 7], [ANN]])),
        (counted((3, 3, 0, 0)), TRIO, COUNTERS),
        (counted((1, 0, 1, 0), [], {"inputIndex": 0}), [ANN], "?counters_disagree"),
        # One id twice, an index that is none, one that a server would give that counts from one.
        (counted((3, 3, 0, 0), [A, shown(BOB, 0), C]), TRIO, "?counters_disagree ?counters_disagree +c2"),
        *(
            (counted((3, 2, 1, 0), [A, C], [refused(index)]), TRIO, "+c0 ?counters_disagree +c2")
            for index in each([-1, 4, "1", None, True, 1.0, [], 10**30])
        ),
        (counted((3, 1, 2, 0), [A], [refused(2), refused(3)]), TRIO, "+c0 ?index_base ?index_base"),
        (counted((3, 2, 1, 0), [B, C], [refused(1)]), TRIO, "?index_base +c1 +c2"),
        (counted((3, 2, 1, 0), [B, shown(BOB, 2)], [refused(1)]), TRIO, "?index_base ?index_base ?index_base"),
        *((body, [ANN], "?unreadable") for body in (b"", b"<html>", b'{"total": 3', b'{"total":' + b"[" * 100_000)),
        # By content, and never by position alone.
        (counted((3, 3, 0, 0), [shown({"name": "Xenia"}, 0), B, C]), TRIO, "?unmatched +c1 +c2"),
        (counted((3, 1, 0, 2), [shown({"name": "Xenia"}, 0)]), TRIO, UNMATCHED),
        (counted((3, 2, 0, 1), [A, B]), [ANN, ANN, BOB], f"+c0 {AGAIN} +c1"),
        (counted((2, 1, 0, 1), [shown({"name": "Ann"}, 0)]), [{"name": "Ann"}, {"name": "ANN"}],
            "?unmatched ?unmatched"),
        (counted((2, 2, 0, 0), [shown({"name": "ANN"}, 1), shown({"name": "Ann"}, 0)]),
            [{"name": "Ann"}, {"name": "ANN"}], "+c0 +c1"),
        (counted((2, 1, 1, 0), [A], [refused(1, "DUPLICATE", None)]), [ANN, ANN], "+c0 -DUPLICATE"),
        (counted((1, 1, 0, 0), [shown({"name": "Zoe"}, 9)]), [ANN], "?unmatched"),
    ],
)  # fmt: skip
def test_what_an_answer_proves(body: Any, sent: list[dict[str, Any]], proven: str) -> None:
    assert brief(VENDOR, body, sent) == proven


@pytest.mark.parametrize(
    ("counts", "shown_count", "errors"),
    [
        ((2, 2, 0, 0), 2, []),  # a record that nobody counted
        ((3, 2, 1, 0), 2, []),  # a failure that nobody names
        ((3, 2, 0, 1), 2, [0]),  # a failure that nobody counted
        ((3, 2, 0, 1), 1, []),  # a success that is not shown
        ((3, 1, 0, 2), 2, []),  # a success that nobody counted
        ((3, 1, 1, 1), 1, [1, -1]),  # a failure of nobody
    ],
)
def test_no_record_is_sent_again_while_anything_disagrees(
    counts: tuple[int, int, int, int], shown_count: int, errors: list[int]
) -> None:
    body = counted(counts, [A, B, C][:shown_count], list(map(refused, errors)))
    assert AGAIN not in brief(VENDOR, body, TRIO)


def test_a_reason_keeps_the_vendors_text_and_a_sentence_is_no_code() -> None:
    [reply] = replies(VENDOR, counted((1, 0, 1, 0), [], [refused(0)]), [ANN])
    assert reply == Rejected((RecordError("NOT_FOUND", "email", "m"),))
    sentence = [{"inputIndex": 0, "errors": [{"code": "ann@example.com is taken"}]}]
    [reply] = replies(VENDOR, counted((1, 0, 1, 0), [], sentence), [ANN])
    assert reply == Rejected((RecordError("unspecified", None, "ann@example.com is taken"),))


def test_case_spaces_roles_and_the_writing_of_numbers_are_forgiven() -> None:
    sent: list[dict[str, Any]]
    sent = [{"name": "Ann  Ames", "email": "Ann@Example.com", "phone": {"phoneNumber": "+49 (30) 123-456"}}, BOB]
    back = shown({"name": "ann ames ", "email": "ann@example.com", "phone": {"phoneNumber": "+4930123456"}}, "a")
    assert brief(VENDOR, counted((2, 2, 0, 0), [shown(BOB, "b"), back]), sent) == "+ca +cb"
    sent = [{"name": "Ann", "phone": {"phoneNumber": "030 1234567"}}, {"name": "Ann", "phone": {"phoneNumber": "2"}}]
    data = [
        shown({"name": "Ann", "phone": {"phoneNumber": "+492"}, "roles": ["r"]}, "b"),
        shown({"name": "Ann", "phone": {"phoneNumber": "+49301234567"}, "roles": ["r"]}, "a"),
    ]
    assert brief(VENDOR, counted((2, 2, 0, 0), data), sent) == "+ca ?unmatched"


def at(*loc: Any, kind: Any = "t") -> dict[str, Any]:
    return {"loc": list(loc), "msg": "m", "type": kind}


@pytest.mark.parametrize(
    ("detail", "found"),
    [
        ([at("body", 1, "email", kind="value_error")], {1: [("value_error", "email")]}),
        ([at("body", 0, "phone", "phoneNumber")], {0: [("t", "phone.phoneNumber")]}),
        ([at("body", 0, "roles", 2)], {0: [("t", "roles.2")]}),
        ([at(2, "email")], {2: [("t", "email")]}),
        ([at("body", 2)], {2: [("t", None)]}),
        ([at("body", 1, "email"), at("body", 1, "name", kind="b")], {1: [("t", "email"), ("b", "name")]}),
        ([at("body", 0, "email", kind=None)], {0: [("http_422", "email")]}),
        # One place that none of the records has, and none counts.
        ([at("body", 0, "email"), at("body", 3, "email")], {}),
        *(([at("body", place, "email")], {}) for place in (-1, "0", True)),
        ([at("path", "organization_id")], {}),
        ([at("body", kind="json_invalid"), {"loc": None}, {}, None, 7], {}),
        ("Not found", {}),
        (None, {}),
    ],
)
def test_fastapis_refusal_names_records(detail: Any, found: dict[int, Any]) -> None:
    assert named(VENDOR, answer({"detail": detail}, 422), TRIO) == found


OTHER = {"error": "validation_error", "message": "m", "details": {"field": "email", "value": "x"}}


def test_the_other_shape_names_a_lone_record() -> None:
    assert reasons(VENDOR, answer(OTHER, 422), [ANN]) == {0: (RecordError("validation_error", "email", "m"),)}
    assert reasons(VENDOR, answer(OTHER, 422), TRIO) == {}


Design = Callable[[list[int], set[int]], tuple[list[int], list[int]]]
"""Which records a server creates and which it names, given all and the bad ones."""


def all_or_nothing(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    return ([], sorted(bad)) if bad else (everyone, [])


def stop_at_first(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    end = min(bad, default=len(everyone))
    return everyone[:end], [end] if bad else []


def partial_success(everyone: list[int], bad: set[int]) -> tuple[list[int], list[int]]:
    return [index for index in everyone if index not in bad], sorted(bad)


@given(
    st.tuples(st.sampled_from([all_or_nothing, stop_at_first, partial_success]), st.sampled_from([0, 0, 1])),
    st.lists(st.sampled_from(["Ann", "ANN", "Bob", "Cat", "Dan"]), min_size=1, max_size=6),
    st.sets(st.integers(0, 5)),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_no_claim_is_false(
    server: tuple[Design, int], names: list[str], bad: set[int], tidy: bool, chooser: random.Random
) -> None:
    """Whatever the server's design, an outcome never claims what is not so."""
    design, base = server
    count = len(names)
    sent = [{"name": name, "phone": {"phoneNumber": f"030 555{ord(name[0]):04}"}} for name in names]
    created, failed = design(list(range(count)), {index for index in bad if index < count})
    data = [shown(sent[index], index) for index in created]
    if tidy:
        data = [{**one, "phone": {"phoneNumber": "+4930" + one["phone"]["phoneNumber"][4:]}} for one in data]
    chooser.shuffle(data)
    counts = (count, len(created), len(failed), count - len(created) - len(failed))
    found = replies(VENDOR, counted(counts, data, [refused(index + base) for index in failed]), sent)
    ids = [reply.id for reply in found if isinstance(reply, Created)]
    assert len(set(ids)) == len(ids)
    # Equal records stand for one another (those equal but for case where nothing better can be had), so what counts is
    # how many of each are claimed.
    alike = [name.casefold() if tidy or base else name for name in names]
    for name in set(alike):
        same = [index for index in range(count) if alike[index] == name]
        there = [index for index in same if index in created]
        kinds = [type(found[index]) for index in same]
        assert kinds.count(Created) <= len(there)
        # A server that counts from one and creates nothing gives no sign of it: who is named stays its claim.
        if base == 0 or created:
            assert kinds.count(Again) + kinds.count(Rejected) <= len(same) - len(there)
        claimed = {reply.id for index in same if isinstance(reply := found[index], Created)}
        assert claimed <= {f"c{other}" for other in there}
    if base == 0 and not tidy and len({name.casefold() for name in names}) == len(names):
        assert not any(isinstance(reply, Doubt) for reply in found)
