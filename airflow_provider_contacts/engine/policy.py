"""The policy of a push as two tables: what a result means for its records, and what a record's state means for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_contacts.frozen import Value
from airflow_provider_contacts.outcome import RecordError, Status
from airflow_provider_contacts.pacing.bucket import retry_after
from airflow_provider_contacts.records.record_state import RESPECT, RecordState
from airflow_provider_contacts.vendor_kit.answers import read_refusal, read_replies
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions, OnUnknown
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import (
    Again,
    Doubt,
    Payload,
    Rejected,
    Replies,
    Reply,
    Response,
    Stop,
    Vendor,
)


class Disposition(Value, frozen=True, kw_only=True):
    """What one result means for the records of its request."""

    replies: Replies
    halve: bool = False  # refused without naming anybody: ask again with each half
    progress: bool = False  # the result settled at least one record, so that ``Again`` costs the others no attempt
    wait: float | None = None  # seconds to wait, as the vendor's ``Retry-After`` says
    renew: bool = False  # the credential was refused; a fresh one may be taken
    later: bool = False  # the vendor asks for fewer requests, whatever becomes of the records
    usable: bool = True  # the vendor is there and says sensible things, whatever it says


def judge(  # noqa: C901, PLR0911  # one return a row of the table
    result: Result, sent: Sequence[Payload], vendor: Vendor, assumptions: Assumptions, now: datetime
) -> Disposition:
    """Return what a result means for its records: this is the table. ``now`` is for ``Retry-After`` as a date."""
    match result:
        case NotSent(code=code, refused=True, message=message):
            return same(Stop(code, message), sent)
        case NotSent(code=code, wait=wait, message=message):
            return same(Again(code, message), sent, wait=wait, usable=False)
        case NoAnswer(code=code, message=message):
            return same(Doubt(code, message), sent, usable=False)
        case Response():
            pass
    status = result.status
    wait = retry_after(result.headers.get("retry-after"), now)
    code = f"http_{status}"
    if 200 <= status < 300:  # noqa: PLR2004  # RFC 9110
        if result.trouble:
            return same(Doubt("unreadable", result.trouble), sent, usable=False)
        return judge_read(read_replies(vendor, result, sent), wait)
    if status == 429:  # noqa: PLR2004
        return same(Again("rate_limited"), sent, wait=wait, later=True)
    if status == 425 or status in vendor.again_statuses:  # noqa: PLR2004
        return same(Again(code), sent, wait=wait, later=True)
    if status == 503 and wait is not None and assumptions.retry_after_is_refusal:  # noqa: PLR2004
        return same(Again(code), sent, wait=wait, later=True)
    if status == 401:  # noqa: PLR2004
        return same(Stop(code), sent, renew=True)
    if status in {400, 409, 413, 422}:
        return judge_refusal(result, sent, vendor, assumptions)
    # A 408 stays doubt: a proxy may say it of a request that the vendor has taken.
    if 300 <= status < 500 and status != 408:  # noqa: PLR2004
        return same(Stop(code), sent)
    return same(Doubt(code), sent, usable=False, later=status == 503 and wait is not None)  # noqa: PLR2004


def same(reply: Reply, sent: Sequence[Payload], **more: Any) -> Disposition:
    """Return the same reply to every record; ``more`` are fields of the disposition."""
    return Disposition(replies=Replies([None] * len(sent), dict.fromkeys(range(len(sent)), reply)), **more)


def judge_read(replies: Replies, wait: float | None) -> Disposition:
    """Return what the replies that a reader finds in a 2xx mean."""
    others = replies.exceptions.values()
    again = [reply for reply in others if isinstance(reply, Again)]
    return Disposition(
        replies=replies,
        progress=len(others) < len(replies) or any(isinstance(reply, Rejected) for reply in others),
        wait=wait if again else None,
        # A record that was left out because of its neighbour does not mean that the vendor wants fewer requests.
        later=any(reply.later for reply in again) or (bool(again) and wait is not None),
        usable=not all_in_doubt(replies),
    )


def all_in_doubt(replies: Replies) -> bool:
    """Tell whether an answer says nothing of any record."""
    others = replies.exceptions
    return len(others) == len(replies) and all(isinstance(reply, Doubt) for reply in others.values())


def judge_refusal(answer: Response, sent: Sequence[Payload], vendor: Vendor, assumptions: Assumptions) -> Disposition:
    """Return what a refusing answer means: the named are rejected, the others sent again; else halves."""
    code, named = read_refusal(vendor, answer, len(sent))
    if len(sent) == 1:
        return same(Rejected(named.get(0) or (RecordError(code),)), sent, progress=True)
    other: Reply = Again("refused_with_others") if assumptions.refusals_atomic else Doubt(code)
    replies = Replies.of(Rejected(named[index]) if index in named else other for index in range(len(sent)))
    return Disposition(replies=replies, halve=not named, progress=True)


class Decision(Enum):
    """What to do with a record, given its state in the ledger."""

    SEND = "send"
    RESEND = "resend"
    RECONCILE = "reconcile"
    SKIP = "skip"
    HOLD = "hold"
    SETTLED = "settled"
    ELSEWHERE = "elsewhere"
    DUPLICATE = "duplicate"
    NOT_UNIQUE = "not_unique"
    INVALID = "invalid"


def decide(  # noqa: PLR0911  # one return a row of the table
    state: RecordState | None,
    payload_hash: str,
    *,
    fit: bool,
    token: str,
    sync_run_id: str,
    on_unknown: OnUnknown,
) -> Decision:
    """Return what becomes of a record before anything is sent. Its state comes before our own check (``fit``)."""
    if state is None:
        return Decision.SEND if fit else Decision.INVALID
    if state.is_forgotten:
        return Decision.SKIP
    if (state.batch_id or "").startswith(f"{token}."):
        # This execution wrote the row: the key came before in this very input.
        return Decision.DUPLICATE if state.payload_hash in {None, payload_hash} else Decision.NOT_UNIQUE
    this_run = state.sync_run_id == sync_run_id
    match state.status:
        case Status.SUCCEEDED:
            return Decision.SKIP
        case Status.SENDING if not this_run and state.age < RESPECT:
            return Decision.ELSEWHERE
        case Status.SENDING | Status.UNKNOWN:
            if on_unknown == "reconcile":
                return Decision.RECONCILE
            return Decision.RESEND if on_unknown == "resend" and fit else Decision.HOLD
        case Status.REJECTED | Status.INVALID if this_run and state.payload_hash == payload_hash:
            return Decision.SETTLED
    return Decision.SEND if fit else Decision.INVALID
