"""Talkdesk: its record, its addresses, and what its answers prove."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.vendor import Created, Rejected
from airflow_provider_contacts.vendors.talkdesk import VENDOR
from tests.support.vendors import Faults, answer, brief, each, faults_of, named, payload_of, reasons, replies, typed


def person(first: str, phone: str, **more: Any) -> dict[str, Any]:
    numbers = [{"phone_number": phone, "phone_type": "MOBILE"}]
    return {"phone_numbers": numbers, "first_name": first, "last_name": "Ames", **more}


ANN = person("Ann", "+351929312319")
BOB = person("Bob", "+351929312318")
CAT = person("Cat", "+351929312317")
TRIO = [ANN, BOB, CAT]
FLAT = {"first_name": "Ann", "last_name": "Ames", "phone_number": "+351929312319"}


@pytest.mark.parametrize(
    ("record", "payload"),
    [
        (FLAT, ANN),
        *(
            ({**FLAT, "phone_type": kind}, {**ANN, "phone_numbers": [{**ANN["phone_numbers"][0], "phone_type": kind}]})
            for kind in ("HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3")
        ),
        ({**FLAT, "phone_type": None}, ANN),
        ({**ANN, "phone_numbers": json.dumps(ANN["phone_numbers"])}, ANN),
        ({**ANN, "phone_numbers": ANN["phone_numbers"] * 2}, None),
        ({**FLAT, "extra_data.job": "Actor", "extra_data.a.b": 1}, {**ANN, "extra_data": {"job": "Actor", "a.b": 1}}),
        ({**FLAT, "extra_data.job": None, "extra_data.city": ""}, ANN),
        ({**FLAT, "extra_data": '{"job": "Actor"}'}, {**ANN, "extra_data": {"job": "Actor"}}),
        ({**ANN, "priority": 10.0}, {**ANN, "priority": 10}),
        ({**ANN, "first_name": "Ä" * 80, "timezone": "z" * 35}, None),
        ({**ANN, "external_provider": "crm", "external_id": " 7 ", "external_url": "u"}, None),
        ({**ANN, "extra_data": {"key": [True, 1.5, {"a": [1, None, {}]}]}}, None),
        ({**ANN, "extra_data": {"key": date(2026, 2, 1)}}, {**ANN, "extra_data": {"key": "2026-02-01"}}),
    ],
)
def test_a_record_leaves_as_it_came(record: dict[str, Any], payload: dict[str, Any] | None) -> None:
    assert typed(payload_of(VENDOR, record)) == typed(record if payload is None else payload)


@pytest.mark.parametrize(
    ("record", "faults"),
    [
        ({}, [("missing_field", "phone_numbers"), ("missing_field", "first_name"), ("missing_field", "last_name")]),
        ({"first_name": "A", "last_name": "B", "phone_type": "HOME"}, [("missing_field", "phone_numbers")]),
        ({**FLAT, "last_name": ""}, [("too_short", "last_name")]),
        ({**FLAT, "first_name": "a" * 81}, [("too_long", "first_name")]),
        ({**FLAT, "phone_number": "1" * 21}, [("too_long", "phone_numbers.0.phone_number")]),
        ({**FLAT, "phone_type": "mobile"}, [("not_allowed", "phone_numbers.0.phone_type")]),
        ({**FLAT, "phone_numbers": []}, [("conflict", "phone_number")]),
        ({**ANN, "phone_type": "HOME"}, [("conflict", "phone_type")]),
        ({**ANN, "phone_numbers": []}, [("too_short", "phone_numbers")]),
        ({**ANN, "phone_numbers": [{"phone_number": "1"}]}, [("missing_field", "phone_numbers.0.phone_type")]),
        ({**ANN, "phone_numbers": [{"phone_type": "HOME"}]}, [("missing_field", "phone_numbers.0.phone_number")]),
        ({**ANN, "timezone": "z" * 36}, [("too_long", "timezone")]),
        ({**ANN, "priority": 0}, [("out_of_range", "priority")]),
        ({**ANN, "priority": 11}, [("out_of_range", "priority")]),
        ({**ANN, "priority": "5"}, [("wrong_type", "priority")]),
        ({**ANN, "external_id": 7}, [("wrong_type", "external_id")]),
        ({**ANN, "extra_data": {}, "extra_data.a": 1}, [("conflict", "extra_data.a")]),
        ({**ANN, "id": "r1"}, [("unknown_field", "id")]),
        ({**ANN, "extra_data": {"key": {1: 2}}}, [("not_json", "extra_data.key")]),
        ({**FLAT, "extra_data.": "x"}, [("unknown_field", "extra_data.")]),
    ],
)
def test_a_record_that_is_broken_is_not_sent(record: dict[str, Any], faults: Faults) -> None:
    assert faults_of(VENDOR, record) == faults


def shows(*records: Any, **more: Any) -> dict[str, Any]:
    return {"_embedded": {"records": list(records)}, **more}


def fine(record: dict[str, Any], id_: str) -> dict[str, Any]:
    return {**record, "id": id_, "errors": [], "record_list_id": "l1", "created_at": "2026-02-01T00:00:00Z"}


def refused(record: dict[str, Any], *codes: str) -> dict[str, Any]:
    return {**record, "errors": list(codes)}


def seen(id_: str, first: str, phone: str = "", **more: Any) -> dict[str, Any]:
    """Return a record as shown in part."""
    numbers = {NUMBER: [{"phone_number": phone}], "last_name": "ames "} if phone else {}
    return {"id": id_, "first_name": first, **numbers, **more}


NUMBER = "phone_numbers"
PAIR = [ANN, BOB]
ALONE = {**FLAT, "id": "a"}
ANNS = [ANN, person("Ann", "1")]
TWICE = [{**ANN, "extra_data": {"n": 1}}, {**ANN, "extra_data": {"n": 2}}]
LOCAL = [person("Ann", "0929312319"), person("Ann", "0929312318")]
MARKED = [person("Ann", "1", external_id="1"), person("Ann", "1", external_id="2")]
CRM = person("Ann", "1", external_id="1", external_provider="crm")
WITHOUT_NUMBER = {"first_name": "Bob", "last_name": "Ames", NUMBER: None, "errors": ["PHONE_NUMBER_INVALID"]}


@pytest.mark.parametrize(
    ("body", "sent", "proven"),
    [
        (shows(fine(CAT, "c"), fine(ANN, "a"), total_created=2), TRIO, "+a ?unmatched +c"),
        *((shows({**ANN, "id": "a", "errors": errors}), [ANN], "+a") for errors in each([None, [], ""])),
        (shows({**ANN, "id": 17}), [ANN], "+17"),
        (shows(fine(ANN, "a"), BOB, has_error=True), PAIR, "+a ?no_id"),
        (shows(fine(ANN, "a"), has_errors=True), [ANN], "+a"),
        # Errors of every form.
        (shows(refused(ANN, "PRIORITY_INVALID", "OTHER")), [ANN], "-PRIORITY_INVALID@priority,OTHER"),
        (shows({**ANN, "errors": "OTHER"}), [ANN], "-OTHER"),
        (shows({**ANN, "errors": ["OTHER", None, 7]}), [ANN], "-OTHER"),
        *((shows({**ANN, "errors": errors}), [ANN], "?no_id") for errors in each([None, [], ""])),
        *(
            (shows({**ANN, "errors": errors}), [ANN], "?errors_unreadable")
            for errors in ([None], [""], {}, {"code": "OTHER"}, False, 0)
        ),
        # Contradictions.
        (shows({**fine(ANN, "a"), "errors": ["OTHER"]}), [ANN], "?contradiction:a"),
        (shows({**fine(ANN, "a"), "errors": 1}), [ANN], "?errors_unreadable:a"),
        (shows(fine(ANN, "a"), fine(BOB, "a")), PAIR, "?id_twice:a ?id_twice:a"),
        (shows(fine(ANN, "a"), fine(BOB, "b"), total_created=1), PAIR, "?counters_disagree:a ?counters_disagree:b"),
        (shows(fine(ANN, "a"), refused(BOB, "OTHER"), total_created=2), PAIR, "+a ?counters_disagree"),
        (shows(refused(ANN, "OTHER"), total_created=True), [ANN], "-OTHER"),
        (shows(refused(ANN, "OTHER", "X"), total_errors=2), [ANN], "-OTHER,X"),
        # Strangers, and more or fewer than were sent.
        (shows(fine(CAT, "c"), fine(BOB, "b")), PAIR, "?unmatched +b"),
        (shows(fine(ANN, "a"), fine(CAT, "c")), PAIR, "+a ?unmatched"),
        (shows(fine(ANN, "a"), fine(ANN, "x"), fine(BOB, "b")), PAIR, "?unmatched +b"),
        (shows(fine(ANN, "a"), refused(ANN, "OTHER"), fine(BOB, "b")), [ANN, ANN, BOB], "+a -OTHER +b"),
        (shows(fine(ANN, "a"), fine(BOB, "b")), [ANN, ANN, BOB], "?unmatched ?unmatched +b"),
        (shows({"id": "a"}, {"id": "b"}), PAIR, "?unmatched ?unmatched"),
        (shows({"id": "a"}), [ANN], "+a"),
        (shows(None, "x", 7), TRIO, "?unmatched ?unmatched ?unmatched"),
        (shows(None), [ANN], "?no_id"),
        # Who is who: written differently, with the country, by the deprecated number, by the reference.
        (shows(seen("b", " BOB", "(351) 929-312-318"), seen("a", "ann", "351 929 312 319")), PAIR, "+a +b"),
        (shows(fine(person("Ann", "+351929312318"), "b"), fine(person("Ann", "+351929312319"), "a")), LOCAL, "+a +b"),
        (shows({**FLAT, "first_name": "Bob", "phone_number": "+351929312318", "id": "b"}, ALONE), PAIR, "+a +b"),
        (shows(seen("b", "Ann", external_id="2"), seen("a", "Ann", external_id="1")), MARKED, "+a +b"),
        (shows({"id": "a", "first_name": "Ann", "external_id": "1", "external_provider": "erp"}), [CRM], "?unmatched"),
        (shows({"id": "a", "first_name": "Zoe", "external_id": "1"}, fine(BOB, "b")), [CRM, BOB], "?unmatched +b"),
        # One person twice, told apart by extra data, or by nothing, with one fate or two.
        (shows(refused(TWICE[1], "OTHER"), fine(TWICE[0], "a")), TWICE, "+a -OTHER"),
        (shows(fine(ANN, "a"), fine(ANN, "b")), TWICE, "+a +b"),
        (shows(fine(ANN, "a"), refused(ANN, "OTHER")), TWICE, "?unmatched ?unmatched"),
        # By place, where content agrees with it.
        (shows(fine(ANN, "a"), WITHOUT_NUMBER, fine(CAT, "c")), TRIO, "+a -PHONE_NUMBER_INVALID@phone_numbers +c"),
        (shows(fine(CAT, "c"), WITHOUT_NUMBER, fine(ANN, "a")), TRIO, "+a ?unmatched +c"),
        (shows({"id": "a", "first_name": "Ann"}, {"id": "b", "first_name": "Ann"}), [ANN, person("Ann", "1")], "+a +b"),
        (shows(seen("a", "Ann"), {"errors": ["OTHER"], "first_name": "Ann"}), ANNS, "?unmatched ?unmatched"),
        (shows(fine(person("Ann", "+351999999999"), "a")), [ANN], "?unmatched"),
        *((shows({"id": "a", "last_name": name}), [ANN], "?unmatched") for name in ("Bell", 7)),
        (shows(fine({**ANN, "priority": 11}, "a")), [ANN], "+a"),
    ],
)
def test_what_embedded_records_prove(body: Any, sent: list[dict[str, Any]], proven: str) -> None:
    assert brief(VENDOR, body, sent) == proven


@pytest.mark.parametrize("empty", [{}, {"_embedded": None}, {"_embedded": {}}, {"_embedded": {"records": []}}])
@pytest.mark.parametrize(
    ("counters", "proven"),
    [
        ({"total_created": 2, "has_error": False}, "+"),
        ({"total_created": 2}, "+"),
        ({"total_created": 2, "has_error": None, "total_errors": 0}, "+"),
        ({"total_created": 2, "has_error": True}, "?counters_disagree"),
        ({"total_created": 2, "has_errors": True}, "?counters_disagree"),
        ({"total_created": 2, "has_error": "false"}, "?counters_disagree"),
        ({"total_created": 2, "total_errors": 1}, "?counters_disagree"),
        ({"total_created": 0}, "-not_created"),
        ({"total_created": 0, "has_error": True, "total_errors": 2}, "-not_created"),
        ({"total_created": 0, "has_errors": True, "total_errors": 7}, "-not_created"),
        ({"total_created": 0, "has_error": False}, "?counters_disagree"),
        ({"total_created": 0, "has_error": True, "has_errors": False}, "?counters_disagree"),
        ({"total_created": 0, "total_errors": 0}, "?counters_disagree"),
        ({"total_created": 1}, "?unmatched"),
        ({"total_created": 1, "has_error": True, "total_errors": 1}, "?unmatched"),
        ({"total_created": 4}, "?counters_disagree"),
        ({"total_created": 2, "total_errors": "0"}, "?counters_missing"),
        *(({"total_created": count}, "?counters_missing") for count in ("2", 2.0, True, -1, None)),
        ({"has_error": False}, "?counters_missing"),
        ({}, "?counters_missing"),
    ],
)
def test_counters_alone(empty: dict[str, Any], counters: dict[str, Any], proven: str) -> None:
    assert brief(VENDOR, {**empty, **counters}, [ANN, BOB], 201) == f"{proven} {proven}"


def test_an_accepted_request_is_no_created_record() -> None:
    assert brief(VENDOR, {"total_created": 1}, [ANN], 200) == "+"
    for count in (0, 1):
        assert brief(VENDOR, {"total_created": count}, [ANN], 202) == "?counters_missing"


@pytest.mark.parametrize(
    "body",
    [
        *each([b"<html>bad gateway</html>", json.dumps(shows(fine(ANN, "a"))).encode()[:-2], b"[" * 100_000]),
        *each([None, [], "text", 7]),
        *({"_embedded": one, "total_created": 1} for one in each([[], "x", {"records": {}}, {"records": "x"}])),
    ],
)
def test_what_is_no_answer_is_doubt(body: Any) -> None:
    assert brief(VENDOR, body, [ANN], 201) == "?unreadable"


def refusal(*names: Any, **more: Any) -> dict[str, Any]:
    fields = [{"name": name, "description": "why"} for name in names]
    return {"code": "0010005", "message": "bad data", "fields": fields, **more}


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["records[1].first_name"], {1: ["first_name"]}),
        (["records[1].phone_numbers[0].phone_number"], {1: ["phone_numbers.0.phone_number"]}),
        (["records.1.first_name"], {1: ["first_name"]}),
        (["/records/1/first_name"], {1: ["first_name"]}),
        (["$.records[1].first_name"], {1: ["first_name"]}),
        (["body.records[1].first_name"], {1: ["first_name"]}),
        (["records[1]"], {1: [None]}),
        (["records[1].a sentence about Ann"], {1: [None]}),
        (["records[0].first_name", "other", "records[2].x", "records[0].y"], {0: ["first_name", "y"], 2: ["x"]}),
        # One place that none of the records has, and none counts.
        (["records[1].first_name", "records[3].first_name"], {}),
        *(
            ([name], {})
            for name in ("records", "records[-1].x", "records[x].y", "records[0]x", "xrecords[0].y", None, 7, "")
        ),
    ],
)
def test_a_refusal_names_records_by_place(names: list[Any], found: dict[int, list[str | None]]) -> None:
    errors = named(VENDOR, answer(refusal(*names), 400), TRIO)
    assert errors == {place: [("0010005", field) for field in fields] for place, fields in found.items()}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        *(
            (refusal(name), RecordError("0010005", "first_name", "why"))
            for name in ("records[0].first_name", "records[7].first_name", "first_name")
        ),
        (refusal(), RecordError("0010005", None, "bad data")),
        (refusal(fields=None), RecordError("0010005", None, "bad data")),
        (refusal("first_name", code="a sentence about Ann"), RecordError("http_400", "first_name", "why")),
        (refusal(code=10005, message=None), RecordError("10005")),
        ({"fields": [{"name": "priority"}]}, RecordError("http_400", "priority")),
    ],
)
def test_a_lone_record_is_meant(body: Any, error: RecordError) -> None:
    assert reasons(VENDOR, answer(body, 400), [ANN]) == {0: (error,)}


MORE = [{}, {}, {"external_id": "1"}, {"external_id": "2"}, {"extra_data": {"n": 1}}, {"extra_data": {"n": 2}}]
PEOPLE = st.builds(
    lambda first, phone, more: person(first, phone, **more),
    st.sampled_from(["Ann", "Bob"]),
    st.sampled_from(["0929312319", "0929312318"]),
    st.sampled_from(MORE),
)
Case = tuple[list[dict[str, Any]], list[str | None], list[dict[str, Any]]]


@st.composite
def truthful(draw: st.DrawFn) -> Case:
    """Draw records, the id of each that was created, and a true answer in any order and spelling.

    Either some members of its records or some whole records are left out.
    """
    sent = draw(st.lists(PEOPLE, min_size=1, max_size=5))
    truth = [f"r{index}" if draw(st.booleans()) else None for index in range(len(sent))]
    whole_records = draw(st.booleans())
    shown = []
    for record, id_ in zip(sent, truth, strict=True):
        view = json.loads(json.dumps(record))
        if draw(st.booleans()):
            view[NUMBER][0]["phone_number"] = "+351" + record[NUMBER][0]["phone_number"][1:]
        left_out = draw(st.integers(0, 3)) == 0
        if left_out and whole_records:
            continue
        if left_out:
            view.pop(draw(st.sampled_from([NUMBER, "first_name", "last_name", "extra_data"])), None)
        shown.append({**view, "id": id_} if id_ else {**view, "errors": ["OTHER"]})
    return sent, truth, draw(st.permutations(shown))


@settings(max_examples=400)
@given(truthful())
def test_nobody_is_given_the_fate_of_another(case: Case) -> None:
    sent, truth, shown = case
    found = replies(VENDOR, shows(*shown), sent)
    for record in sent:
        equal = [index for index, other in enumerate(sent) if other == record]
        created = sum(truth[index] is not None for index in equal)
        assert sum(isinstance(found[index], Created) for index in equal) <= created
        assert sum(isinstance(found[index], Rejected) for index in equal) <= len(equal) - created


@settings(max_examples=200)
@given(st.lists(PEOPLE, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_whole_answer_in_any_order_leaves_no_doubt(sent: list[dict[str, Any]], random: Any) -> None:
    shown = [fine(record, f"r{index}") for index, record in enumerate(sent)]
    random.shuffle(shown)
    found = replies(VENDOR, shows(*shown, total_created=len(sent), has_error=False), sent)
    owners = {f"r{index}": record for index, record in enumerate(sent)}
    for record, reply in zip(sent, found, strict=True):
        assert isinstance(reply, Created)
        assert owners[reply.id or ""] == record
