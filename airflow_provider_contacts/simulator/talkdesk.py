"""Talkdesk record lists: HAL JSON, per-record errors inside a 201, tokens that live ten minutes.

Sources: docs.talkdesk.com/reference/record-lists-bulks (SEED: fields, lengths and error strings; when which of them is
given is INFERRED from their names, and set by knobs where more than one reading is possible), …/record-lists-2,
…/get-a-list-of-records, …/cc-basic, docs.talkdesk.com/docs/paging-results (FOUND).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.checks import is_phone, problems_of, rows, shape, zone_fits, zones
from airflow_provider_contacts.simulator.knobs import Knob, Settings, choice
from airflow_provider_contacts.simulator.messages import Answer, Call, Problem, RefusedCallError, Route, listed
from airflow_provider_contacts.simulator.oauth import client_of, oauth_error, token_knobs, token_request

SCOPE = "record-lists:manage"
UNIQUE_TYPES = ("NOTHING", "PHONE_NUMBER", "EXTERNAL")
LARGEST_PAGE = 100
HAL = "application/hal+json"
CODES = (
    "PHONE_NUMBER_INVALID", "PHONE_NUMBER_MISSING", "PHONE_NUMBER_NOT_UNIQUE", "FIRST_NAME_INVALID",
    "FIRST_NAME_MISSING", "LAST_NAME_INVALID", "LAST_NAME_MISSING", "TIMEZONE_INVALID", "TIMEZONE_MISSING",
    "TIMEZONE_UNMATCHED", "PRIORITY_INVALID", "EXTERNAL_REF_MISSING", "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE", "OTHER",
)  # fmt: skip

SHOWN = (
    "phone_number", "phone_numbers", "first_name", "last_name", "timezone", "priority", "extra_data",
    "external_provider", "external_id", "external_url", "sync_external_id",
)  # fmt: skip

KNOBS = (
    Knob("record_lists", "places", "demo-list,demo-phone=PHONE_NUMBER,demo-external=EXTERNAL",
         "those that exist at the start: id or id=unique_identifier_type, with commas", UNIQUE_TYPES),
    *common_knobs("404", "a 201 with the strings of reject_codes on the record"),
    Knob("reject_codes", "text", "OTHER", f"error strings of a rejected record, with commas; {', '.join(CODES)}"),
    *token_knobs("599"),
    Knob("granted_scope", "text", SCOPE, "scopes that the client has; asking for others gives a 401 at the token"),
    Knob("write_scope", "text", SCOPE, "scope that creating needs [SEED]"),
    Knob("read_scope", "text", SCOPE, "scope that reading needs; one page says tod.records-list.manage [UNKNOWN]"),
    Knob("max_batch", "integer", "100", "records a request may hold [INFERRED]"),
    Knob("oversize_status", "status", "400", "answer to more than that: 400 or 413 [UNKNOWN]"),
    Knob("timezone_required", "boolean", "false", "TIMEZONE_MISSING for a record without one [UNKNOWN]"),
    Knob("timezone_match", "boolean", "false", "TIMEZONE_UNMATCHED where zone and number differ in country [UNKNOWN]"),
    choice("same_phone_type", "two numbers of one type in a record [UNKNOWN]", "accept", "refuse"),
    choice("deprecated_phone", "phone_number without phone_numbers [UNKNOWN]", "accept", "refuse"),
    Knob("list_capacity", "integer", "250000", "records a list can hold [FOUND]"),
    choice("full_list", "a record too many: OTHER on it, or the whole request [UNKNOWN]", "OTHER", "400", "409"),
    choice("embed", "which records the answer embeds [UNKNOWN]", "all", "created", "failed", "none"),
    choice("created_errors", "errors of a created record [UNKNOWN]", "empty", "absent", "null"),
    Knob("id_on_failed", "boolean", "false", "give failed records an id all the same: a contradiction"),
    Knob("has_error_key", "text", "has_error", "name of the flag; PATCH uses has_errors; empty: left out [FOUND]"),
    choice("total_errors", "what total_errors counts [INFERRED]", "errors", "records", "absent"),
    Knob("default_priority", "integer", "11", "priority of a record that came without, outside 1-10 [FOUND]"),
    Knob("page_size", "integer", "50", "items a page where the request does not say [FOUND]"),
    choice("next_href", "form of the next page's address [UNKNOWN]", "absolute", "relative"),
    choice("page_totals",
           "numbers in a page [FOUND, words differ]: total and the page's count, one of them, or the list's as count",
           "both", "total", "whole_count", "none"),
    Knob("reformat_phones", "boolean", "false", "show numbers as digits alone [INFERRED]"),
)  # fmt: skip

PHONE_TYPES = frozenset({"HOME", "OFFICE", "MOBILE", "EXTRA_1", "EXTRA_2", "EXTRA_3"})
LONGEST_PHONE, LONGEST_NAME, LONGEST_ZONE, HIGHEST_PRIORITY = 20, 80, 35, 10

# Fields whose JSON type counts.
_TEXTS = ("first_name", "last_name", "external_provider", "external_id", "external_url", "phone_number")
_NUMBERS = rows(shape({}, {"phone_number": str}))
_OTHERS = {"phone_numbers": _NUMBERS, "extra_data": dict[str, Any], "sync_external_id": bool}
RECORD = shape({}, {**dict.fromkeys(_TEXTS, str), **_OTHERS})
_PUNCTUATION = str.maketrans("", "", " ()./-")
EXTERNAL_TAKEN = "EXTERNAL_ID_AND_PROVIDER_NOT_UNIQUE"
_WRONG = "Errors found in the submitted data"


def numbers_of(record: dict[str, Any]) -> list[str]:
    """Return the numbers of a record whose shape is right."""
    numbers = [entry["phone_number"] for entry in record.get("phone_numbers") or () if "phone_number" in entry]
    return numbers or ([record["phone_number"]] if record.get("phone_number") else [])


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


class Talkdesk(SimulatedVendor):
    """Talkdesk's server."""

    name = "talkdesk"
    knob_list = KNOBS
    list_keys = ("records", "record_lists")
    any_credential = "demo-client:demo-secret"
    challenge = "Bearer"
    place_knob = "record_lists"

    def authorize(self, call: Call) -> int:  # noqa: D102  # as of every vendor
        token = self.tokens.token_of(call)
        needed = self.knobs["read_scope" if call.method == "GET" else "write_scope"]
        if token.scope is not None and needed not in token.scope.split():
            raise RefusedCallError(403, "The token lacks the scope that is needed")
        return token.account

    def _refuse(self, error: RefusedCallError) -> Answer:
        # SEED: code, message and the fields; the words of code and the form of names are INFERRED.
        body: dict[str, Any] = {"code": f"{error.status}00001", "message": error.message}
        if error.problems:
            body["fields"] = [{"name": str(path[0]), "description": text} for path, text, _ in error.problems]
        return Answer(error.status, body)

    def _token(self, call: Call) -> Answer:
        parameters = token_request(call, "form")
        client = client_of(call, parameters, in_body=False)
        account = self.client_account(client, "invalid_client", "client authentication failed")
        if parameters.get("grant_type") != "client_credentials":
            raise oauth_error(400, "unsupported_grant_type", "only client_credentials is offered here")
        granted, asked = self.knobs["granted_scope"], parameters.get("scope", "").split()
        if not set(asked) <= set(granted.split()):
            raise oauth_error(401, "invalid_scope", "the client does not have that scope, or not yet")
        return self.tokens.grant(" ".join(asked) or granted, account)

    def _list(self, call: Call) -> str:
        if call.params["list_id"] not in self.places:
            raise RefusedCallError(404, "Record list not found")
        return call.params["list_id"]

    def _create(self, call: Call) -> Answer:
        target = self._list(call)
        records = listed(call, "records", _WRONG, [(("records",), "must be an array with at least one item", "")])
        if len(records) > self.knobs["max_batch"]:
            raise RefusedCallError(self.knobs["oversize_status"], "Too many records")
        if problems := shape_problems(records):
            raise RefusedCallError(400, _WRONG, problems)
        form = self.knobs["full_list"]
        if form != "OTHER" and self._used(target) + len(records) > self.knobs["list_capacity"]:
            raise RefusedCallError(int(form), "The record list is full")
        moment = self.moment()
        views = [self._add(call, target, record, moment) for record in call.portion(records)]
        return Answer(201, self._bulk(f"{call.base}/record-lists/{target}", target, views), content_type=HAL)

    def _bulk(self, href: str, target: str, views: list[dict[str, Any]]) -> dict[str, Any]:
        failed = [view for view in views if view.get("errors")]
        created = [view for view in views if not view.get("errors")]
        body: dict[str, Any] = {"record_list_id": target, "total_created": len(created)}
        if key := self.knobs["has_error_key"]:
            body[key] = bool(failed)
        if (counted := self.knobs["total_errors"]) != "absent":
            body["total_errors"] = len(failed) if counted == "records" else sum(len(view["errors"]) for view in failed)
        body["_links"] = {"self": {"href": f"{href}/records/bulks"}, "record_list": {"href": href}}
        if (embed := self.knobs["embed"]) != "none":
            body["_embedded"] = {"records": {"all": views, "failed": failed, "created": created}[embed]}
        return body

    def _used(self, target: str) -> int:
        return self.count_by_place[self.shelf(target)]

    def _claims(self, target: str, record: dict[str, Any], codes: list[str]) -> set[Any]:
        """Return the values that the record takes in its list, and add what stands against it to ``codes``."""
        values: set[Any] = set()
        code = "PHONE_NUMBER_NOT_UNIQUE"
        if self.places[target] == "PHONE_NUMBER":
            values = set(numbers_of(record))
        elif self.places[target] == "EXTERNAL":
            values, code = {(record.get("external_provider"), record.get("external_id"))}, EXTERNAL_TAKEN
            if not all(*values):
                codes.append("EXTERNAL_REF_MISSING")
                return set()
        keys = {(self.shelf(target), code, value) for value in values}
        if keys & self.by_key.keys():
            codes.append(code)
        return keys

    def _add(self, call: Call, target: str, record: dict[str, Any], moment: str) -> dict[str, Any]:
        codes = content_faults(record, self.knobs)
        claims = self._claims(target, record, codes)
        if not codes and self._used(target) >= self.knobs["list_capacity"]:
            codes.append("OTHER")
        if self.rejected(record):
            codes.extend(self.knobs["reject_codes"].split(","))
        view: dict[str, Any] = {"record_list_id": target} | {name: record[name] for name in SHOWN if name in record}
        view.setdefault("priority", self.knobs["default_priority"])
        if self.knobs["reformat_phones"]:
            rows = [row for row in view.get("phone_numbers") or () if "phone_number" in row]
            view["phone_numbers"] = [
                row | {"phone_number": row["phone_number"].translate(_PUNCTUATION)} for row in rows
            ]
        if codes:
            return ({"id": self.new_uuid()} if self.knobs["id_on_failed"] else {}) | view | {"errors": codes}
        self.by_key |= dict.fromkeys(claims, True)
        id_, href = self.new_uuid(), f"{call.base}/record-lists/{target}"
        view |= {"id": id_, "created_at": moment, "updated_at": moment}
        view["_links"] = {"self": {"href": f"{href}/records/{id_}"}, "record_list": {"href": href}}
        self.store(call, record, target, id_, view)
        shown = self.knobs["created_errors"]
        return view if shown == "absent" else view | {"errors": [] if shown == "empty" else None}

    def _show(self, call: Call, shown: str) -> dict[str, Any]:
        view = {"id": shown, "name": shown, "unique_identifier_type": self.places[shown], "status": "ACCEPTED"}
        links = {"self": {"href": f"{call.base}/record-lists/{shown}"}}
        return view | {"records_count": self._used(shown), "teams": [], "_links": links}

    def _read_list(self, call: Call) -> Answer:
        return Answer(200, self._show(call, self._list(call)), content_type=HAL)

    def _read_lists(self, call: Call) -> Answer:
        return page_of(call, "record_lists", [self._show(call, one) for one in self.places], self.knobs)

    def _read_records(self, call: Call) -> Answer:
        return page_of(call, "records", self.in_place(self._list(call)), self.knobs)

    routes = (
        Route("POST", "/record-lists/{list_id}/records/bulks", "write", _create),
        Route("POST", "/oauth/token", "token", _token),
        Route("GET", "/record-lists", "read", _read_lists),
        Route("GET", "/record-lists/{list_id}", "read", _read_list),
        Route("GET", "/record-lists/{list_id}/records", "read", _read_records),
    )
