"""Dex: a list in, a list out, and one flag; nothing in the answer says which contact is which but order and names.

Sources: guidev3.getdex.com/api-reference/reference/contacts/create-contacts (SEED: fields, and the 21 that come back),
getdex.com/docs/api-reference/… find-contacts-by-email, get-a-contact, and clients (FOUND,
as are explicit nulls and LinkedIn as a handle).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_contacts.simulator.behaviour import SimulatedVendor, common_knobs
from airflow_provider_contacts.simulator.checks import Date, Uuid, first_problem, shape
from airflow_provider_contacts.simulator.knobs import Knob, choice
from airflow_provider_contacts.simulator.messages import Answer, Call, RefusedCallError, Route, json_body, listed
from airflow_provider_contacts.simulator.oauth import credential_of

KNOBS = (
    *common_knobs("accept", "as reject_form says"),
    choice("reject_form",
           "how the vendor says no to a contact [UNKNOWN]: 400; error true, nothing stored; error true and the others"
           " stored and returned; left out of a success",
           "400", "flag", "flag_stored", "left_out"),
    Knob("name_culprit", "boolean", "false", "whether a 400 names the contact that caused it [UNKNOWN]"),
    Knob("atomic", "boolean", "true", "whether a 400 stores nothing; false: what stood before the culprit [UNKNOWN]"),
    choice("error_body", "form of a 4xx [UNKNOWN]", "json", "text"),
    Knob("error_flag", "trigger", "never", "store nothing and answer 200 with error true"),
    Knob("error_flag_stored", "trigger", "never", "store, return, and answer error true all the same"),
    choice("error_value", "how error is written", "boolean", "text", "null", "absent"),
    Knob("success_status", "status", "200", "200 or 201 [INFERRED]"),
    choice("client_ids", "an id sent by the client [UNKNOWN]", "honour", "ignore"),
    choice("known_id", "an id that exists already [UNKNOWN]", "409", "existing", "duplicate"),
    Knob("linkedin_handle", "boolean", "true", "store a LinkedIn URL as its bare handle [FOUND]"),
    choice("empty_contact", "a contact without any field [UNKNOWN]", "accept", "refuse"),
    Knob("max_batch", "integer", "100", "contacts a request may hold; 0: no limit [FOUND in the vendor's tools]"),
    Knob("oversize_status", "status", "400", "answer to more than that: 400 or 413 [UNKNOWN]"),
    Knob("by_emails_creates", "boolean", "false", "default of the two switches of by-emails [UNKNOWN]"),
    choice("reads_show", "reads show emails and numbers [FOUND], or the 21 fields [FOUND]", "children", "fields"),
    choice("stored_names", "names that are kept: as sent, or as one name [UNKNOWN]", "as_sent", "whole"),
    choice("by_emails_shape", "data of by-emails, a map with one contact an email [FOUND both]", "array", "map"),
    Knob("page_size", "integer", "500", "contacts a page of GET contacts; only cursor is heeded [FOUND]"),
    choice("page_key", "name of the list in a page [FOUND both]", "items", "contacts"),
    choice("last_cursor", "nextCursor of the last page [UNKNOWN]", "null", "absent"),
    Knob("endless_cursor", "boolean", "false", "always answer the first page with a cursor"),
    choice("one_shape", "where GET of one contact shows it [UNKNOWN]", "data", "contact", "bare"),
    Knob("plan", "text", "professional", "plan of the user"),
)  # fmt: skip

SHOWN = (
    "id", "full_name", "first_name", "last_name", "job_title", "company", "description", "legacy_location", "website",
    "image_url", "starred", "is_archived", "birthday", "linkedin", "twitter", "facebook", "instagram", "frequency",
    "source", "created_at", "updated_at",
)  # fmt: skip
TEXTS = (
    "full_name", "first_name", "last_name", "description", "job_title", "company", "education", "website",
    "legacy_location", "image_url", "frequency", "linkedin", "twitter", "facebook", "instagram", "telegram", "tiktok",
    "youtube", "source",
)  # fmt: skip
LISTS = (
    "contact_emails", "contact_phone_numbers", "groups_contacts", "tags_contacts", "custom_fields", "related_contacts",
    "legacy_contact_addresses",
)  # fmt: skip

_FLAGS = dict.fromkeys(("starred", "never_keep_in_touch"), bool)
_ROWS = dict.fromkeys(LISTS, list[dict[str, Any]])
CONTACT = shape({}, {"id": Uuid, "birthday": Date, **dict.fromkeys(TEXTS, str), **_ROWS, **_FLAGS})


def _full_view(contact: dict[str, Any], id_: str, moment: str, *, handle: bool) -> dict[str, Any]:
    view = dict.fromkeys(SHOWN) | contact
    view |= {"id": id_, "created_at": moment, "updated_at": moment, "is_archived": False}
    made = f"{contact.get('first_name', '')} {contact.get('last_name', '')}".strip()
    view["full_name"] = contact.get("full_name") or made or None
    view["starred"] = contact.get("starred", False)
    view.setdefault("contact_emails", [])
    view.setdefault("contact_phone_numbers", [])
    if handle and contact.get("linkedin"):
        view["linkedin"] = contact["linkedin"].rstrip("/").rpartition("/")[2]
    return view


def _short_view(view: dict[str, Any]) -> dict[str, Any]:
    return {name: view[name] for name in SHOWN}


def _emails_of(view: dict[str, Any]) -> list[str]:
    return [str(row["email"]).lower() for row in view["contact_emails"] if row.get("email")]


class Dex(SimulatedVendor):
    """Dex's server."""

    name = "dex"
    knob_list = KNOBS
    list_keys = ("contacts", "items", "data")
    any_credential = "dex_demo_key"

    def authorize(self, call: Call) -> int:  # noqa: D102  # as of every vendor
        key = credential_of(call)
        return self.account_of(key, "Unauthorized", fits=key.startswith("dex_"))

    def _refuse(self, error: RefusedCallError) -> Answer:
        if self.knobs["error_body"] == "text":
            return Answer(error.status, error.message, content_type="text/plain")
        return Answer(error.status, {"error": True, "message": error.message})

    def _create(self, call: Call) -> Answer:
        contacts = self._contacts(call)
        keep, form = partial(self._keep, call, self.moment()), self.knobs["reject_form"]
        good, refused = self.unrefused(contacts, form, keep)
        if (refused and form == "flag") or self.knobs["error_flag"].fires(call.nth):
            return self._flagged({"contacts": []}, error=True)
        views = [_short_view(keep(contact)) for contact in call.portion(good)]
        error = (refused and form == "flag_stored") or self.knobs["error_flag_stored"].fires(call.nth)
        return self._flagged({"contacts": views}, self.knobs["success_status"], error=error)

    def _contacts(self, call: Call) -> list[dict[str, Any]]:
        contacts = listed(call, "contacts", "contacts must be a non-empty array")
        most = self.knobs["max_batch"]
        if 0 < most < len(contacts):
            raise RefusedCallError(self.knobs["oversize_status"], f"at most {most} contacts")
        for index, contact in enumerate(contacts):
            empty = contact == {} and self.knobs["empty_contact"] == "refuse"
            if fault := "must not be empty" if empty else first_problem(CONTACT, contact):
                self.refuse_batch(400, index, fault)
        unique = self.knobs["client_ids"] == "honour" and self.knobs["known_id"] == "409"
        if unique and any(contact.get("id") in self.by_id for contact in contacts):
            raise RefusedCallError(409, "a contact with this id exists")
        return contacts

    def _keep(self, call: Call, moment: str, contact: dict[str, Any]) -> dict[str, Any]:
        honoured = self.knobs["client_ids"] == "honour" and "id" in contact
        if honoured and self.knobs["known_id"] == "existing" and contact["id"] in self.by_id:
            return self.by_id[contact["id"]].view
        id_ = contact["id"] if honoured else self.new_uuid()
        view = _full_view(contact, id_, moment, handle=self.knobs["linkedin_handle"])
        if self.knobs["stored_names"] == "whole":
            view |= {"first_name": None, "last_name": None}
        self.store(call, contact, "", id_, view)
        return view

    def _flagged(self, data: Any, status: int = 200, *, error: bool = False) -> Answer:
        forms = {"boolean": error, "text": str(error).lower(), "null": None}
        form = self.knobs["error_value"]
        return Answer(status, {"data": data} if form == "absent" else {"error": forms[form], "data": data})

    def _by_emails(self, call: Call) -> Answer:
        body = json_body(call)
        emails = body.get("emails") if isinstance(body, dict) else None
        if not isinstance(emails, list) or not all(isinstance(email, str) for email in emails):
            raise RefusedCallError(400, "emails must be an array of strings")
        wanted = {email.lower() for email in emails}
        views = [one.view for one in self.readable(self.stored) if wanted.intersection(_emails_of(one.view))]
        default = self.knobs["by_emails_creates"]
        if any(body.get(switch, default) for switch in ("createFromGoogleContacts", "createFromOAuthInteractions")):
            for email in sorted(wanted.difference(*map(_emails_of, views))):
                made = {"contact_emails": [{"email": email}], "source": "google"}
                views.append(self._keep(call, self.moment(), made))
        if self.knobs["by_emails_shape"] == "array":
            return self._flagged([self._shown(view) for view in {view["id"]: view for view in views}.values()])
        by_email: dict[str, dict[str, Any]] = {}
        for view in views:
            for email in wanted.intersection(_emails_of(view)):
                by_email.setdefault(email, self._shown(view))
        return self._flagged(by_email)

    def _shown(self, view: dict[str, Any]) -> dict[str, Any]:
        return view if self.knobs["reads_show"] == "children" else _short_view(view)

    def _read_page(self, call: Call) -> Answer:
        views, size = [contact.view for contact in self.readable(self.stored)], max(self.knobs["page_size"], 1)
        endless, cursor = self.knobs["endless_cursor"], call.query.get("cursor", "").removeprefix("c")
        start = int(cursor) if cursor.isdecimal() and not endless else 0
        data: dict[str, Any] = {self.knobs["page_key"]: list(map(self._shown, views[start : start + size]))}
        if endless or start + size < len(views):
            data["nextCursor"] = "c0" if endless else f"c{start + size}"
        elif self.knobs["last_cursor"] == "null":
            data["nextCursor"] = None
        return self._flagged(data)

    def _read_one(self, call: Call) -> Answer:
        shape, view = self.knobs["one_shape"], self._shown(self.readable_by_id(call.params["id"]).view)
        if shape == "bare":
            return Answer(200, view)
        return self._flagged(view if shape == "data" else {"contact": view})

    def _read_user(self, _: Call) -> Answer:
        user = {"id": "00000000-0000-4000-8000-00000000000d", "email": "demo@example.com", "plan": self.knobs["plan"]}
        return self._flagged(user)

    routes = (
        Route("POST", "/v1/contacts/", "write", _create),
        Route("GET", "/v1/contacts", "read", _read_page),
        Route("POST", "/v1/contacts/by-emails", "read", _by_emails),
        Route("GET", "/v1/contacts/{id}", "read", _read_one),
        Route("GET", "/v1/users/me", "read", _read_user),
    )
