"""What Talkdesk finds wrong with one record (the fourteen documented error strings), its lists, and their pages.

Source: docs.talkdesk.com/reference/record-lists-bulks (SEED: fields, lengths and the list of strings; when which of
them is given is INFERRED from their names, and set by knobs where more than one reading is possible); …/record-lists-2,
…/get-a-list-of-records, docs.talkdesk.com/docs/paging-results (FOUND).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.checks import is_phone, problems_of, rows, shape, zone_fits, zones
from airflow_provider_contacts.simulator.knobs import Knob, Settings, choice
from airflow_provider_contacts.simulator.messages import Answer, Call, Problem

CODES = (
    "PHONE_NUMBER_INVALID", "PHONE_NUMBER_MISSING", "PHONE_NUMBER_NOT_UNIQUE", "FIRST_NAME_INVALID",
    "FIRST_NAME_MISSING", "LAST_NAME_INVALID", "LAST_NAME_MISSING", "TIMEZONE_INVALID", "TIMEZONE_MISSING",
    "TIMEZONE_UNMATCHED", "PRIORITY_INVALID", "EXTERNAL_REF_MISSING", "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE", "OTHER",
)  # fmt: skip

PHONE_TYPES = frozenset({"HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3"})
LONGEST_PHONE, LONGEST_NAME, LONGEST_ZONE, HIGHEST_PRIORITY = 20, 80, 35, 10

RECORD_KNOBS = (
    Knob("timezone_required", "boolean", "false", "TIMEZONE_MISSING for a record without one [UNKNOWN]"),
    Knob("timezone_match", "boolean", "false", "TIMEZONE_UNMATCHED where zone and number differ in country [UNKNOWN]"),
    choice("same_phone_type", "two numbers of one type in a record [UNKNOWN]", "accept", "refuse"),
    choice("deprecated_phone", "phone_number without phone_numbers [UNKNOWN]", "accept", "refuse"),
)

# Fields whose JSON type counts.
_TEXTS = ("first_name", "last_name", "external_provider", "external_id", "external_url", "phone_number")
_NUMBERS = rows(shape({}, {"phone_number": str}))
_OTHERS = {"phone_numbers": _NUMBERS, "extra_data": dict[str, Any], "sync_external_id": bool}
RECORD = shape({}, {**dict.fromkeys(_TEXTS, str), **_OTHERS})


def numbers_of(record: dict[str, Any]) -> list[str]:
    """Return the numbers of a record whose shape is right."""
    listed = [entry["phone_number"] for entry in record.get("phone_numbers") or () if "phone_number" in entry]
    return listed or ([record["phone_number"]] if record.get("phone_number") else [])


def shape_problems(records: list[Any]) -> list[Problem]:
    """Return every value of a wrong JSON type, named as in ``records[0].first_name``: it refuses the whole request."""
    found = [one for index, record in enumerate(records) for one in problems_of(RECORD, record, "records", index)]
    names = ["".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path) for path, _, _ in found]
    return [((name.removeprefix("."),), text, word) for name, (_, text, word) in zip(names, found, strict=True)]


def content_faults(record: dict[str, Any], knobs: Settings) -> list[str]:
    """Return the error strings of one record whose shape is right, those of uniqueness aside."""
    codes = _phone_faults(record, knobs)
    for name in ("first_name", "last_name"):
        if not record.get(name) or len(record[name]) > LONGEST_NAME:
            codes.append(f"{name.upper()}_{'INVALID' if record.get(name) else 'MISSING'}")
    if "timezone" in record:
        zone = record["timezone"]
        if not isinstance(zone, str) or len(zone) > LONGEST_ZONE or zone not in zones():
            codes.append("TIMEZONE_INVALID")
        elif knobs["timezone_match"] and not all(zone_fits(zone, number) for number in numbers_of(record)):
            codes.append("TIMEZONE_UNMATCHED")
    elif knobs["timezone_required"]:
        codes.append("TIMEZONE_MISSING")
    priority = record.get("priority", 1)
    if type(priority) is not int or not 1 <= priority <= HIGHEST_PRIORITY:
        codes.append("PRIORITY_INVALID")
    return codes


def _phone_faults(record: dict[str, Any], knobs: Settings) -> list[str]:
    entries = record.get("phone_numbers")
    if not entries:
        single = record.get("phone_number")
        if not single or knobs["deprecated_phone"] == "refuse":
            return ["PHONE_NUMBER_MISSING"]
        return [] if len(single) <= LONGEST_PHONE and is_phone(single) else ["PHONE_NUMBER_INVALID"]
    if any(not entry.get("phone_number") for entry in entries):
        return ["PHONE_NUMBER_MISSING"]
    types = [entry.get("phone_type") for entry in entries]
    numbers = [entry["phone_number"] for entry in entries]
    right = all(isinstance(type_, str) and type_ in PHONE_TYPES for type_ in types)
    right = right and all(len(number) <= LONGEST_PHONE and is_phone(number) for number in numbers)
    doubled = right and knobs["same_phone_type"] == "refuse" and len(set(types)) < len(types)
    return ["PHONE_NUMBER_INVALID"] if doubled or not right else []


UNIQUE_TYPES = ("NOTHING", "PHONE_NUMBER", "EXTERNAL")
LARGEST_PAGE = 100
HAL = "application/hal+json"

PAGE_KNOBS = (
    Knob("page_size", "integer", "50", "items a page where the request does not say [FOUND]"),
    choice("next_href", "form of the next page's address [UNKNOWN]", "absolute", "relative"),
    choice("page_totals",
           "numbers in a page [FOUND, words differ]: total and the page's count, one of them, or the list's as count",
           "both", "total", "whole_count", "none"),
)  # fmt: skip


def page_of(call: Call, name: str, items: list[dict[str, Any]], knobs: Settings) -> Answer:
    """Return one HAL page (FOUND: page, per_page, total_pages, total, count, _links.next)."""
    size, page = call.number_of("per_page", knobs["page_size"], LARGEST_PAGE), call.number_of("page", 1)
    pages = max(1, -(-len(items) // size))
    shown = items[(page - 1) * size : page * size]
    href = f"{'' if knobs['next_href'] == 'relative' else call.base}{call.path}?per_page={size}&page="
    links = {"self": {"href": f"{href}{page}"}} | ({"next": {"href": f"{href}{page + 1}"}} if page < pages else {})
    total, form = len(items), knobs["page_totals"]
    numbers = {
        "both": {"total": total, "count": len(shown)},
        "total": {"total": total},
        "whole_count": {"count": total},
    }
    body = {"page": page, "per_page": size, "total_pages": pages, **numbers.get(form, {})}
    return Answer(200, {**body, "_embedded": {name: shown}, "_links": links}, content_type=HAL)
