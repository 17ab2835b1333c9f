"""Talkdesk record lists, read back: the list, then all its records page by page.

Marks as in the vendor's file.

- The list itself: FOUND (docs.talkdesk.com/reference/record-lists-2).
- ``GET …/records``: ``_embedded.records``, ``_links.next``, ``page``, ``per_page``, ``count``, ``total_pages``, the
  fields of a record: FOUND (docs.talkdesk.com/reference/get-a-list-of-records). No filter is documented there. The
  same page alone wants the scope ``tod.records-list.manage``: FOUND, perhaps a slip; a refused read proves nothing.
- Follow ``next`` for as long as there is one, and never compute page numbers; 50 items a page unless asked otherwise:
  FOUND (docs.talkdesk.com/docs/paging-results). How many more may be asked for: UNKNOWN, so none are.
- ``total`` and ``count``: FOUND on both pages, where ``count`` is once the page's and once the whole list's. So what
  was read is held against ``total``, or against a lone ``count`` that is not the page's.
- 250,000 records a list: FOUND (support.talkdesk.com, article 360043587352), which makes 5,000 pages.
- ``created_at`` of a record: SEED for the answer to a create request, INFERRED here.

Pages are cut by position, so that a record can hide behind the edge of two pages if others are deleted between the two
requests; the totals show that where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit import reads
from airflow_provider_contacts.vendor_kit.destinations import path
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_mapping, as_moment
from airflow_provider_contacts.vendor_kit.reads import Contact, Page, Question, ReadBack, contacts_of, entries_of
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response

LIST = path("/record-lists/{record_list_id}")
RECORDS = "/records"
MOST_PAGES = 5_000

SHOWN = (
    "first_name", "last_name", "timezone", "priority", "external_provider", "external_id", "external_url",
    "sync_external_id", "extra_data",
)  # fmt: skip


def questions(sought: Sequence[Payload], destination: Destination) -> list[Question]:
    """Return the one question about all records, which is whether the list is there.

    Its context is how many records of the list were seen, and how many it has, where a page said so.
    """
    return [Question(request=Request("GET", LIST(destination)), about=tuple(range(len(sought))), context=(0, None))]


def read(answer: Response, question: Question) -> Page:
    """Return what a page of the list shows, or for the list itself nothing but the way to its first page."""
    body, one = answer.json(), question.request.path
    if not isinstance(body, dict):
        raise UnreadableError("no object")
    if one.endswith(RECORDS):
        return read_records(body, question)
    if (as_id(body.get("id")) is None and "unique_identifier_type" not in body) or not same_list(body.get("id"), one):
        raise UnreadableError("not the record list that was asked for")
    return Page(contacts=(), more=replace(question, request=Request("GET", f"{one}{RECORDS}")))


def read_records(body: Mapping[str, Any], question: Question) -> Page:
    """Return the records of one page and the question for the next one.

    A list that grows meanwhile moves records to later pages only; one that shrinks can move one past us.
    """
    request, (before, known) = reads.next_link(body, question.request), question.context
    contacts = contacts_of(records_of(body, last=request is None), partial(contact_of, path=question.request.path))
    seen, total = before + len(contacts), total_of(body, len(contacts))
    total = known if total is None else total
    if total is not None and (total < (known or 0) or (request is None and total != seen)):
        raise UnreadableError("the pages hold another number of records than they say")
    if request is not None:
        return Page(contacts=contacts, more=replace(question, request=request, context=(seen, total)))
    page, pages = as_count(body.get("page")), as_count(body.get("total_pages"))
    if page is not None and pages is not None and page < pages:
        raise UnreadableError("the next page is not named")
    return Page(contacts=contacts)


def total_of(body: Mapping[str, Any], shown: int) -> int | None:
    """Return how many records a list has: ``total``, or a lone ``count`` that is not the page's."""
    total, count = as_count(body.get("total")), as_count(body.get("count"))
    if total is None:
        return None if count == shown else count
    if count not in {None, shown, total}:
        raise UnreadableError("the page holds another number of records than it says")
    return total


def records_of(body: Mapping[str, Any], *, last: bool) -> list[Any]:
    """Return the embedded records; none at all must be said, not merely be missing."""
    embedded = body.get("_embedded")
    records = as_mapping(embedded).get("records")
    if isinstance(records, list):
        return records
    counts = [body[name] for name in ("total", "count") if body.get(name) is not None]
    said = last and counts and all(as_count(one) == 0 for one in counts)
    if records is not None or not isinstance(embedded, dict | None) or not said:
        raise UnreadableError("no list of records")
    return []


def contact_of(shown: Mapping[str, Any], path: str) -> Contact:
    """Return a record as it would be sent.

    One that shows errors was not taken (SEED, of the answer to a create request) and yet is there: it keeps what tells
    who it is, without a name, so that it is like a record and never is one.
    """
    id_ = as_id(shown.get("id"))
    if id_ is None or not same_list(shown.get("record_list_id"), path.removesuffix(RECORDS)):
        raise UnreadableError("a record without an id, or of another list")
    fields: Payload = {name: shown[name] for name in SHOWN if name in shown}
    # Every record has a number; the deprecated single one counts without a list.
    numbers = shown.get("phone_numbers") or [{"phone_number": shown.get("phone_number")}]
    fields["phone_numbers"] = entries_of(numbers, "phone_number")
    if not all(as_id(number.get("phone_number")) for number in fields["phone_numbers"]):
        raise UnreadableError("a record without a number")
    if "external_id" in fields:
        fields["external_id"] = as_id(fields["external_id"])
    if shown.get("errors"):
        fields["first_name"] = None
    return Contact(id=id_, fields=fields, created_at=as_moment(shown.get("created_at")))


def same_list(shown: Any, one: str) -> bool:
    """Tell whether a list's id, where one is shown, is that of a path."""
    id_ = as_id(shown)
    return id_ is None or reads.ends_path(one, id_)


READ_BACK = ReadBack(
    questions=questions, read=read, identity=("phone_numbers.phone_number", "external_id"), most_requests=MOST_PAGES + 1
)
