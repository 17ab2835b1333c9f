"""Talkdesk record lists, read back: the list, then all its records page by page.

Marks as in the vendor's file.

- The list's ``unique_identifier_type`` (``PHONE_NUMBER``, ``EXTERNAL``, ``NOTHING``): FOUND
  (docs.talkdesk.com/reference/record-lists-2).
- ``GET …/records``: ``_embedded.records``, ``_links.next``, ``page``, ``per_page``, ``count``, ``total_pages``, the
  fields of a record: FOUND (docs.talkdesk.com/reference/get-a-list-of-records). No filter is documented there.
- Follow ``next`` for as long as there is one, and never compute page numbers; 50 items a page unless asked otherwise:
  FOUND (docs.talkdesk.com/docs/paging-results). How many more may be asked for: UNKNOWN, so none are.
- ``total`` and ``count``: FOUND on both pages, where ``count`` is once the page's and once the whole list's. So a
  number is held against what was read only where it can mean but one thing.
- 250,000 records a list: FOUND (support.talkdesk.com, article 360043587352), which makes 5,000 pages.
- ``created_at`` of a record: SEED for the answer to a create request, INFERRED here.

What it can prove: that a record is in the list, and that it is not, however the list tells duplicates apart. What it
cannot: pages are cut by position, so that a record can hide behind the edge of two pages if others are deleted between
the two requests; the totals show that where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.vendor_kit.destinations import path
from airflow_provider_contacts.vendor_kit.json_values import as_count, as_id, as_list, as_mapping, as_moment, fold_text
from airflow_provider_contacts.vendor_kit.reads import (
    Contact,
    Page,
    Question,
    ReadBack,
    contacts_of,
    ends_path,
    next_link,
)
from airflow_provider_contacts.vendor_kit.vendor import Destination, Payload, Request, Response

LIST = path("/record-lists/{record_list_id}")
RECORDS = "/records"
MOST_PAGES = 5_000

SHOWN = (
    "first_name", "last_name", "timezone", "priority", "external_provider", "external_id", "external_url",
    "sync_external_id", "extra_data",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been seen of a list; the context of a question.

    :param references: the sought pairs of external provider and id, for comparing, if every sought record has one.
    :param total: how many records the list has, where a page said so.
    """

    references: frozenset[tuple[str, str]] = frozenset()
    seen: int = 0
    total: int | None = None


def questions(sought: Sequence[Payload], destination: Destination) -> list[Question]:
    """Return the one question about all records, which is what list this is."""
    references = list(map(reference, sought))
    progress = Progress(frozenset(filter(None, references)) if all(references) else frozenset())
    return [Question(request=Request("GET", LIST(destination)), about=tuple(range(len(sought))), context=progress)]


def read(answer: Response, question: Question) -> Page:
    """Return what a page of the list shows, or for the list itself nothing but the way to its first page."""
    body = answer.json()
    if not isinstance(body, dict):
        raise UnreadableError("no object")
    return (read_records if question.request.path.endswith(RECORDS) else read_list)(body, question)


def read_list(body: Mapping[str, Any], question: Question) -> Page:
    """Return the way to the first page.

    Where the list tells records by their external reference, one with another reference is nobody's: then those sought
    are handed on. In any other list the number may be anybody's, and so may the reference.
    """
    one = question.request.path
    if (as_id(body.get("id")) is None and "unique_identifier_type" not in body) or not same_list(body.get("id"), one):
        raise UnreadableError("not the record list that was asked for")
    progress = question.context if body.get("unique_identifier_type") == "EXTERNAL" else Progress()
    return Page(contacts=(), more=replace(question, request=Request("GET", f"{one}{RECORDS}"), context=progress))


def read_records(body: Mapping[str, Any], question: Question) -> Page:
    """Return the records of one page and the question for the next one."""
    request = next_link(body, question.request)
    records = records_of(body, last=request is None)
    contacts = contacts_of(records, partial(contact_of, path=question.request.path))
    progress = counted(question.context, body, len(records))
    wanted = progress.references
    if wanted:
        contacts = tuple(one for one in contacts if (found := reference(one.fields)) is None or found in wanted)
    if request is not None:
        return Page(contacts=contacts, more=replace(question, request=request, context=progress))
    if progress.total not in {None, progress.seen}:
        raise UnreadableError("the pages hold another number of records than they say")
    page, pages = as_count(body.get("page")), as_count(body.get("total_pages"))
    if page is not None and pages is not None and page < pages:
        raise UnreadableError("the next page is not named")
    return Page(contacts=contacts)


def records_of(body: Mapping[str, Any], *, last: bool) -> list[Any]:
    """Return the embedded records; none at all must be said, not merely be missing."""
    embedded = body.get("_embedded")
    records = as_mapping(embedded).get("records")
    if isinstance(records, list):
        return records
    empty = records is None and isinstance(embedded, dict | None)
    counts = [body[name] for name in ("total", "count") if body.get(name) is not None]
    if not (empty and last and counts and all(as_count(one) == 0 for one in counts)):
        raise UnreadableError("no list of records")
    return []


def counted(progress: Progress, body: Mapping[str, Any], count: int) -> Progress:
    """Return the progress after a page of ``count`` records.

    A list that grows meanwhile moves records to later pages only; one that shrinks can move one past us.
    """
    total, listed = as_count(body.get("total")), as_count(body.get("count"))
    if total is not None and listed not in {None, count, total}:
        raise UnreadableError("the page holds another number of records than it says")
    if total is None and listed is not None and listed != count:
        # On its own, and not the page's, it can only be the whole list's.
        total = listed
    if progress.total is not None and total is not None and total < progress.total:
        raise UnreadableError("the list has shrunk between two pages")
    return replace(progress, seen=progress.seen + count, total=total if total is not None else progress.total)


def contact_of(shown: Mapping[str, Any], path: str) -> Contact:
    """Return a record as it would be sent.

    One that shows errors was not taken (SEED, of the answer to a create request) and yet is there: it keeps what tells
    who it is, without a name, so that it is like a record and never is one.
    """
    id_ = as_id(shown.get("id"))
    if id_ is None or not same_list(shown.get("record_list_id"), path.removesuffix(RECORDS)):
        raise UnreadableError("a record without an id, or of another list")
    fields: Payload = {name: shown[name] for name in SHOWN if name in shown}
    fields["phone_numbers"] = numbers_of(shown)
    if "external_id" in fields:
        fields["external_id"] = as_id(fields["external_id"])
    if shown.get("errors"):
        fields["first_name"] = None
    return Contact(id=id_, fields=fields, created_at=as_moment(shown.get("created_at")))


def numbers_of(record: Mapping[str, Any]) -> list[Payload]:
    """Return a record's numbers, of which every record has one; the deprecated single one counts without a list."""
    listed = record.get("phone_numbers") or [{"phone_number": record.get("phone_number")}]
    numbers = [as_mapping(entry) for entry in as_list(listed) or ()]
    if not numbers or not all(as_id(number.get("phone_number")) for number in numbers):
        raise UnreadableError("a record without a number")
    shown = [{"phone_number": as_id(one["phone_number"]), "phone_type": one.get("phone_type")} for one in numbers]
    return [{name: value for name, value in one.items() if value is not None} for one in shown]


def reference(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return external provider and id for comparing, ``None`` unless both are there."""
    provider, external = fold_text(record.get("external_provider")), fold_text(record.get("external_id"))
    return (provider, external) if provider and external else None


def same_list(shown: Any, one: str) -> bool:
    """Tell whether a list's id, where one is shown, is that of a path."""
    id_ = as_id(shown)
    return id_ is None or ends_path(one, id_)


READ_BACK = ReadBack(
    questions=questions, read=read, identity=("phone_numbers.phone_number", "external_id"), most_requests=MOST_PAGES + 1
)
