"""Nedzo: one contact a request, and a second status inside the answer that may contradict the first.

Sources: docs.nedzo.ai/api-reference/contact/create-contact (SEED: the generation to be built),
…/contact-list/update-contact-list, …/contacts/list, …/introduction, docs.nedzo.ai/authentication (FOUND: the present
generation, whose reads and errors are the best evidence for this host).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs, found
from airflow_provider_contacts.simulator.checks import is_email, is_uuid
from airflow_provider_contacts.simulator.knobs import Knob
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, Stored, whole_number
from airflow_provider_contacts.simulator.oauth import bearer_of

DEMO_LIST = "5f0c9b5e-6a3f-4c1e-9d38-0c8f5b1f7a10"
SUBACCOUNT = "7d0a3c52-1111-4b6e-8f0e-2d6f1c9be001"
TEXTS = (
    "first_name", "last_name", "full_name", "business_name", "full_address", "city", "country", "state",
    "postal_code", "phone", "job_title",
)  # fmt: skip

KNOBS = (
    Knob("contact_lists", "places", f"{DEMO_LIST}=Demo", "those that exist: id=name or id, with commas",
         form=(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID in lower case")),
    *common_knobs("redirect", "with reject_status"),
    Knob("reject_status", "integer", "422", "status of a rejected contact"),
    Knob("success_status", "integer", "200", "HTTP status of a success [INFERRED]"),
    Knob("refusals_in_200", "boolean", "false", "answer 200 to what is refused, with the true status in status_code"),
    Knob("body_status_code", "text", "", "status_code of a success instead of the true one; none: left out"),
    Knob("body_status_only", "text", "", "store nothing and answer 200 with this status_code and data null"),
    Knob("data_null", "trigger", "never", "store, and answer with data null"),
    Knob("data_without_contact", "trigger", "never", "store, and answer with an empty data"),
    Knob("no_id", "trigger", "never", "store, and answer without the contact's id"),
    Knob("other_contact", "trigger", "never", "store, and answer with somebody else's contact"),
    Knob("duplicates", "choice", "allow", "an email that exists already [UNKNOWN]", ("allow", "409", "existing")),
    Knob("unknown_list", "choice", "404", "a contact_list_id that does not exist [UNKNOWN]", ("404", "422", "accept")),
    Knob("error_form", "choice", "fastapi", "form of a 4xx [INFERRED]", ("fastapi", "envelope", "problem")),
    Knob("served", "boolean", "true", "whether this generation's endpoint still exists [UNKNOWN]"),
    Knob("contact_reads", "boolean", "false", "whether GET /v1/contact/ and /v1/contact/{id} exist [UNKNOWN]"),
    Knob("new_reads", "boolean", "true", "whether the present generation's GETs exist [FOUND]"),
)  # fmt: skip

_CAMEL = {"first_name": "firstName", "last_name": "lastName", "email": "email", "phone": "phone"}
_WORDS = {401: "unauthorized", 403: "forbidden", 404: "not-found", 409: "conflict", 429: "rate-limited"}


class Nedzo(SimulatedVendor):
    """Nedzo's server."""

    name = "nedzo"
    knob_list = KNOBS
    place_knob = "contact_lists"

    def routes(self) -> tuple[Route, ...]:
        """Return the endpoints."""
        return (
            Route("POST", "/v1/contact/", "write", self._create),
            Route("GET", "/v1/contact/", "read", self._read_old),
            Route("GET", "/v1/contact/{id}", "read", self._read_old_one),
            Route("GET", "/v1/contacts", "read", self._read_new),
            Route("GET", "/v1/contacts/{id}", "read", self._read_new_one),
            Route("GET", "/v1/workspaces", "read", self._read_workspaces),
            Route("PATCH", "/v1/contact-list/{id}", "read", self._patch_list),
        )

    def clear(self) -> None:
        """Forget what is unique."""
        self.emails: dict[str, dict[str, Any]] = {}

    def set_places(self, named: dict[str, str]) -> None:
        """Let these contact lists exist."""
        self.lists = dict(named)

    def connection(self, url: str) -> dict[str, Any]:
        """Return a ready connection."""
        extra = {"contact_list_id": next(iter(self.lists), "")}
        return {"conn_type": "nedzo", "host": url, **self.ready("sk_test_demo"), "extra": extra}

    def authorize(self, call: Call) -> int:
        """Accept any key, or the demanded ones."""
        key = bearer_of(call)
        return self.account_of(key, "Invalid or missing API key", fits=bool(key))

    def refuse(self, error: RefusedCallError) -> Answer:
        """Return FastAPI's form, the vendor's envelope, or RFC 7807 problem details."""
        if self.knobs["refusals_in_200"]:
            return Answer(200, _envelope(error.status, error.message, None))
        if self.knobs["error_form"] == "envelope":
            return Answer(error.status, _envelope(error.status, error.message, None))
        if self.knobs["error_form"] == "problem" or error.status in {401, 429}:
            word = _WORDS.get(error.status, "validation-error")
            kind = f"https://api.nedzo.ai/errors/{word}"
            body = {
                "type": kind,
                "title": word.replace("-", " ").title(),
                "status": error.status,
                "detail": error.message,
            }
            return Answer(error.status, body, content_type="application/problem+json")
        detail: Any = [{"type": word, "loc": list(path), "msg": text} for path, text, word in error.errors]
        return Answer(error.status, {"detail": detail or error.message})

    def records_in(self, payload: Any) -> list[Any] | None:
        """Return the list of a read."""
        return payload if isinstance(payload, list) else None

    def _create(self, call: Call) -> Answer:
        if not self.knobs["served"]:
            raise RefusedCallError(404, "Not Found")
        contact = self._object(call)
        if only := self.knobs["body_status_only"]:
            return Answer(200, _envelope(_number_or_text(only), "refused", None))
        self._check_list(contact)
        if self.knobs["reject"] and self.rejected(contact):
            status = self.knobs["reject_status"]
            raise RefusedCallError(status, "Contact refused", [(("body", "email"), "Contact refused", "value_error")])
        existing = self.emails.get(self.shelf(contact["email"].lower()))
        if existing and self.knobs["duplicates"] == "409":
            raise RefusedCallError(409, "A contact with this email exists")
        if existing and self.knobs["duplicates"] == "existing":
            return self._success(existing, call.nth)
        return self._success(self._keep(call, contact), call.nth)

    def _success(self, view: dict[str, Any], number: int) -> Answer:
        status = self.knobs["success_status"]
        told = self.knobs["body_status_code"]
        shown: dict[str, Any] = dict(view)
        if self.knobs["no_id"].fires(number):
            del shown["id"]
        if self.knobs["other_contact"].fires(number):
            shown |= {"id": self.new_uuid(), "email": "somebody.else@example.com"}
        data: dict[str, Any] | None = {} if self.knobs["data_without_contact"].fires(number) else {"contact": shown}
        if self.knobs["data_null"].fires(number):
            data = None
        body = _envelope(_number_or_text(told) if told else status, "Contact created successfully", data)
        if told == "none":
            del body["status_code"]
        return Answer(status, body)

    def _object(self, call: Call) -> dict[str, Any]:
        is_json = call.headers.get("content-type", "").lower().startswith("application/json")
        try:
            contact = call.json() if is_json else None
        except ValueError as error:
            at = ("body", getattr(error, "pos", 0))
            raise RefusedCallError(422, "Unprocessable", [(at, "JSON decode error", "json_invalid")]) from None
        if not isinstance(contact, dict):
            text = "Input should be a valid dictionary"
            raise RefusedCallError(422, "Unprocessable", [(("body",), text, "model_attributes_type")])
        call.received = 1
        problems = list(_problems(contact))
        if problems:
            raise RefusedCallError(422, "Unprocessable", problems)
        return contact

    def _check_list(self, contact: dict[str, Any]) -> None:
        list_id = contact.get("contact_list_id")
        wanted = self.knobs["unknown_list"]
        if list_id is not None and wanted != "accept" and list_id.lower() not in self.lists:
            at = ("body", "contact_list_id")
            raise RefusedCallError(
                int(wanted), "Contact list not found", [(at, "Contact list not found", "value_error")]
            )

    def _keep(self, call: Call, contact: dict[str, Any]) -> dict[str, Any]:
        view = {
            "contact_list_id": contact.get("contact_list_id"),
            "email": contact["email"],
            **{name: contact.get(name) for name in TEXTS},
            "dnc": bool(contact.get("dnc")),
            "custom_fields": contact.get("custom_fields") or [],
            "id": self.new_uuid(),
            "subaccount_id": SUBACCOUNT,
            "last_dial_time": None,
            "most_recent_outcome": None,
            "status": "Waiting",
        }
        if self.knobs["duplicates"] != "allow":
            self.emails[self.shelf(contact["email"].lower())] = view
        self.store(call, contact, (contact.get("contact_list_id") or "").lower(), view["id"], view)
        return view

    def _read_old(self, call: Call) -> Answer:
        self._exists("contact_reads")
        size, offset = whole_number(call, "limit", 20), whole_number(call, "offset", 0, least=0)
        return Answer(200, [contact.view for contact in self.readable(self.stored)[offset : offset + size]])

    def _read_old_one(self, call: Call) -> Answer:
        self._exists("contact_reads")
        return Answer(200, _envelope(200, "OK", {"contact": self._one(call).view}))

    def _read_new(self, call: Call) -> Answer:
        self._exists("new_reads")
        size, offset = whole_number(call, "limit", 20), whole_number(call, "offset", 0, least=0)
        return Answer(200, [_camel(contact) for contact in self.readable(self.stored)[offset : offset + size]])

    def _read_new_one(self, call: Call) -> Answer:
        self._exists("new_reads")
        return Answer(200, _camel(self._one(call)))

    def _read_workspaces(self, call: Call) -> Answer:  # noqa: ARG002  # the signature is every handler's
        self._exists("new_reads")
        return Answer(200, [{"id": SUBACCOUNT, "name": "Demo"}])

    def _patch_list(self, call: Call) -> Answer:
        list_id = call.params["id"].lower()
        if list_id not in self.lists:
            raise RefusedCallError(404, "Contact list not found")
        contacts = [contact.view for contact in self.in_place(list_id)]
        data = {"contact_list": {"id": list_id, "name": self.lists[list_id], "contacts": contacts}}
        return Answer(200, _envelope(200, "OK", data))

    def _exists(self, knob: str) -> None:
        if not self.knobs[knob]:
            raise RefusedCallError(404, "Not Found")

    def _one(self, call: Call) -> Stored:
        return found(self.readable_by_id(call.params["id"]))


def _problems(contact: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str, str]]:
    problems: list[tuple[tuple[str | int, ...], str, str]] = []
    if "email" not in contact:
        problems.append((("body", "email"), "Field required", "missing"))
    elif not is_email(contact["email"]):
        problems.append((("body", "email"), "value is not a valid email address", "value_error"))
    problems.extend(
        (("body", name), "Input should be a valid string", "string_type")
        for name in TEXTS
        if not isinstance(contact.get(name, ""), (str, type(None)))
    )
    if contact.get("contact_list_id") is not None and not is_uuid(contact["contact_list_id"]):
        problems.append((("body", "contact_list_id"), "Input should be a valid UUID", "uuid_parsing"))
    if not isinstance(contact.get("dnc"), (bool, type(None))):
        problems.append((("body", "dnc"), "Input should be a valid boolean", "bool_type"))
    fields = contact.get("custom_fields") or []
    if not isinstance(fields, list):
        return [*problems, (("body", "custom_fields"), "Input should be a valid list", "list_type")]
    for index, field in enumerate(fields):
        at = ("body", "custom_fields", index)
        if not isinstance(field, dict) or not is_uuid(field.get("custom_field_id")):
            problems.append(((*at, "custom_field_id"), "Input should be a valid UUID", "uuid_parsing"))
        elif not isinstance(field.get("value"), str):
            problems.append(((*at, "value"), "Input should be a valid string", "string_type"))
    return problems


def _envelope(status: Any, message: str, data: Any) -> dict[str, Any]:
    return {"status_code": status, "message": message, "data": data}


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _camel(contact: Stored) -> dict[str, Any]:
    return {
        "id": contact.id,
        "workspaceId": SUBACCOUNT,
        **{new: contact.view[old] for old, new in _CAMEL.items()},
        "tags": [],
        "customFields": {field["custom_field_id"]: field["value"] for field in contact.view["custom_fields"]},
    }
