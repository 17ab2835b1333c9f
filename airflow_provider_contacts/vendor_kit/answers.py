"""What a vendor's readers make of an answer. A reader that fails costs no outcome."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from airflow_provider_contacts.errors import UnreadableError
from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.json_values import as_mapping
from airflow_provider_contacts.vendor_kit.refusals import CONFLICT, Reason, status_code
from airflow_provider_contacts.vendor_kit.vendor import Payload, Replies, Response, Vendor

log = logging.getLogger(__name__)

T = TypeVar("T")

EXISTS = re.compile("already|exists|unique|duplicat|conflict|taken", re.IGNORECASE)


def guarded(vendor: Vendor, read: Callable[[], T], otherwise: T) -> T:
    """Return what a reader makes of an answer, or ``otherwise`` if the answer is unreadable or the reader fails."""
    try:
        return read()
    except UnreadableError:
        return otherwise
    except Exception as error:  # noqa: BLE001  # any bug of a reader: logged, and never a lost outcome
        *_, (_, line) = traceback.walk_tb(error.__traceback__)
        # Neither its text nor a traceback: both may quote the answer.
        said = "A reader of %s failed: %s in line %s; its answer counts as unreadable"
        log.error(said, vendor.name, type(error).__name__, line)  # noqa: TRY400
        return otherwise


def read_replies(vendor: Vendor, answer: Response, sent: Sequence[Payload]) -> Replies:
    """Return the replies of a 2xx, or doubt about every record where its reader fails."""
    doubts = Replies.doubt(len(sent), "unreadable")
    replies: object = guarded(vendor, lambda: vendor.read(answer, sent), doubts)
    if isinstance(replies, Replies) and len(replies) == len(sent):
        return replies
    log.error(
        "The reader of %s does not give one reply for each of %s records; they are unknown", vendor.name, len(sent)
    )
    return doubts


class Refusal(NamedTuple):
    """What a refusing answer says: the code of the whole, and the reasons of each record that it names, by place."""

    code: str
    reasons: Mapping[int, tuple[RecordError, ...]]


def read_refusal(vendor: Vendor, answer: Response, count: int) -> Refusal:
    """Return what a refusing answer (400, 409, 413, 422) says of ``count`` records.

    A lone record is meant by whatever is named. A place beyond the last record means that places are not what we take
    them for, so that none counts.
    """
    found: list[Reason] = guarded(vendor, lambda: first_shape(vendor, answer), [])
    whole = [error for place, error in found if place is None]
    code = whole[0].code if whole else found[0].error.code if found else status_code(answer.status)
    named: dict[int, tuple[RecordError, ...]] = {}
    for place, error in found:
        if place is not None:
            index = 0 if count == 1 else place
            named[index] = (*named.get(index, ()), error)
    if count == 1 and found and not named:
        named[0] = tuple(whole)
    return Refusal(code, {} if any(index >= count for index in named) else named)


def first_shape(vendor: Vendor, answer: Response) -> list[Reason]:
    """Return the reasons in the first of the vendor's shapes that an answer has."""
    body = as_mapping(answer.json())
    return next(filter(None, (list(shape(body, answer.status)) for shape in vendor.refusal)), [])


def says_exists(errors: Iterable[RecordError], http_status: int | None) -> bool:
    """Tell whether a refusal can mean that the contact exists.

    Asked only about records that were in doubt, where a refusal too many costs a look by a person, and one too few a
    contact that nobody knows of.
    """
    return http_status == CONFLICT or any(EXISTS.search(f"{one.code} {one.message or ''}") for one in errors)
