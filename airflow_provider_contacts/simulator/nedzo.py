"""Nedzo: one contact a request, and a second status inside the answer that may contradict the first.

Sources: docs.nedzo.ai/api-reference/contact/create-contact (SEED: the generation to be built),
…/introduction, docs.nedzo.ai/authentication (FOUND: the present generation, whose errors are the best evidence for this
host).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.checks import (
    Email,
    Uuid,
    fastapi_answer,
    fastapi_body,
    problems_of,
    rows,
    shape,
    unprocessable,
)
from airflow_provider_contacts.simulator.knobs import Knob, choice
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route
from airflow_provider_contacts.simulator.oauth import credential_of

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
    Knob("reject_status", "status", "422", "status of a rejected contact"),
    Knob("success_status", "status", "200", "HTTP status of a success [INFERRED]"),
    Knob("refusals_in_200", "boolean", "false", "answer 200 to what is refused, with the true status in status_code"),
    Knob("body_status_code", "text", "", "status_code of a success instead of the true one; none: left out"),
    Knob("body_status_only", "text", "", "store nothing and answer 200 with this status_code and data null"),
    Knob("data_null", "trigger", "never", "store, and answer with data null"),
    Knob("data_without_contact", "trigger", "never", "store, and answer with an empty data"),
    Knob("no_id", "trigger", "never", "store, and answer without the contact's id"),
    Knob("other_contact", "trigger", "never", "store, and answer with somebody else's contact"),
    choice("duplicates", "an email that exists already [UNKNOWN]", "allow", "409", "existing"),
    choice("unknown_list", "a contact_list_id that does not exist [UNKNOWN]", "404", "422", "accept"),
    choice("error_form", "form of a 4xx [INFERRED]", "fastapi", "envelope", "problem"),
    Knob("served", "boolean", "true", "whether this generation's endpoint still exists [UNKNOWN]"),
    Knob("new_reads", "boolean", "true", "whether the present generation's GET /v1/workspaces exists [FOUND]"),
)  # fmt: skip

_FIELD = shape({"custom_field_id": Uuid, "value": str}, {})
_OTHERS = {"contact_list_id": Uuid | None, "dnc": bool | None, "custom_fields": rows(_FIELD) | None}
CONTACT = shape({"email": Email}, {**dict.fromkeys(TEXTS, str | None), **_OTHERS})

_WORDS = {401: "unauthorized", 403: "forbidden", 404: "not-found", 409: "conflict", 429: "rate-limited"}


class Nedzo(SimulatedVendor):
    """Nedzo's server."""

    name = "nedzo"
    knob_list = KNOBS
    any_credential = "sk_test_demo"
    place_knob = "contact_lists"

    def authorize(self, call: Call) -> int:  # noqa: D102  # as of every vendor
        key = credential_of(call)
        return self.account_of(key, "Invalid or missing API key", fits=bool(key))

    def _refuse(self, error: RefusedCallError) -> Answer:
        form = self.knobs["error_form"]
        if self.knobs["refusals_in_200"] or form == "envelope":
            status = 200 if self.knobs["refusals_in_200"] else error.status
            return Answer(status, _envelope(error.status, error.message, None))
        if form != "problem" and error.status not in {401, 429}:
            return fastapi_answer(error)
        word = _WORDS.get(error.status, "validation-error")
        body: dict[str, Any] = {"type": f"https://api.nedzo.ai/errors/{word}", "title": word.replace("-", " ").title()}
        body |= {"status": error.status, "detail": error.message}
        return Answer(error.status, body, content_type="application/problem+json")

    def _create(self, call: Call) -> Answer:
        contact = fastapi_body(call, dict, ("Input should be a valid dictionary", "model_attributes_type"))
        call.received = 1
        if problems := problems_of(CONTACT, contact, "body"):
            raise unprocessable(problems)
        if only := self.knobs["body_status_only"]:
            return Answer(200, _envelope(_number_or_text(only), "refused", None))
        list_id, wanted, text = contact.get("contact_list_id"), self.knobs["unknown_list"], "Contact list not found"
        if list_id is not None and wanted != "accept" and list_id.lower() not in self.places:
            raise RefusedCallError(int(wanted), text, [(("body", "contact_list_id"), text, "value_error")])
        if self.rejected(contact):
            problem = (("body", "email"), "Contact refused", "value_error")
            raise RefusedCallError(self.knobs["reject_status"], "Contact refused", [problem])
        existing = self.by_key.get(self.shelf(contact["email"].lower()))
        if existing and self.knobs["duplicates"] == "409":
            raise RefusedCallError(409, "A contact with this email exists")
        if existing and self.knobs["duplicates"] == "existing":
            return self._success(existing, call.nth)
        return self._success(self._keep(call, contact), call.nth)

    def _success(self, view: dict[str, Any], number: int) -> Answer:
        told = self.knobs["body_status_code"]
        shown = {name: value for name, value in view.items() if name != "id" or not self.knobs["no_id"].fires(number)}
        if self.knobs["other_contact"].fires(number):
            shown |= {"id": self.new_uuid(), "email": "somebody.else@example.com"}
        data: dict[str, Any] | None = {} if self.knobs["data_without_contact"].fires(number) else {"contact": shown}
        if self.knobs["data_null"].fires(number):
            data = None
        status = self.knobs["success_status"]
        body = _envelope(_number_or_text(told) if told else status, "Contact created successfully", data)
        if told == "none":
            del body["status_code"]
        return Answer(status, body)

    def _keep(self, call: Call, contact: dict[str, Any]) -> dict[str, Any]:
        view: dict[str, Any] = {name: contact.get(name) for name in ("contact_list_id", "email", *TEXTS)}
        view |= {"dnc": bool(contact.get("dnc")), "custom_fields": contact.get("custom_fields") or []}
        view |= {"id": self.new_uuid(), "subaccount_id": SUBACCOUNT, "status": "Waiting"}
        view |= {"last_dial_time": None, "most_recent_outcome": None}
        if self.knobs["duplicates"] != "allow":
            self.by_key[self.shelf(contact["email"].lower())] = view
        self.store(call, contact, (contact.get("contact_list_id") or "").lower(), view["id"], view)
        return view

    def _read_workspaces(self, _: Call) -> Answer:
        return Answer(200, [{"id": SUBACCOUNT, "name": "Demo"}])

    routes = (
        Route("POST", "/v1/contact/", "write", _create, "served"),
        Route("GET", "/v1/workspaces", "read", _read_workspaces, "new_reads"),
    )


def _envelope(status: Any, message: str, data: Any) -> dict[str, Any]:
    return {"status_code": status, "message": message, "data": data}


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdecimal() else text
