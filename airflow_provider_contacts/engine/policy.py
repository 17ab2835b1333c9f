"""What a cause becomes: the whole policy of a push, as pure functions of an answer, and of a standing row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_contacts.outcome import RecordError, Status
from airflow_provider_contacts.pacing.bucket import retry_after
from airflow_provider_contacts.records.record_state import RESPECT, RecordState
from airflow_provider_contacts.vendor_kit.answers import read_refusal, read_replies
from airflow_provider_contacts.vendor_kit.push_settings import Assumptions, OnUnknown
from airflow_provider_contacts.vendor_kit.results import NoAnswer, NotSent, Result
from airflow_provider_contacts.vendor_kit.vendor import (
    Again,
    Created,
    Doubt,
    Payload,
    Rejected,
    Reply,
    Response,
    Stop,
    Vendor,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one result means for the records of its request.

    :param replies: one a record, in order.
    :param halve: refused without naming anybody: ask again with each half.
    :param progress: the result settled at least one record, so that ``Again`` costs the others no attempt.
    :param wait: seconds for which the vendor asked to be left alone.
    :param renew: the credential was refused; a fresh one may be taken.
    :param later: the vendor asks for fewer requests, whatever becomes of the records.
    :param usable: the vendor is there and says sensible things, whatever it says.
    """

    replies: Sequence[Reply] = field(repr=False)
    halve: bool = False
    progress: bool = False
    wait: float | None = None
    renew: bool = False
    later: bool = field(default=False, compare=False)
    usable: bool = True


def judge(  # noqa: C901, PLR0911  # one return a row of the table
    result: Result, sent: Sequence[Payload], vendor: Vendor, assumptions: Assumptions, now: datetime
) -> Verdict:
    """Return the verdict on a result: this is the table.

    :param sent: the payloads of the request, in order.
    :param now: the wall clock (UTC), for ``Retry-After`` as a date.
    """
    match result:
        case NotSent(code=code, refused=True, message=message):
            return everyone(Stop(code, message), sent)
        case NotSent(code=code, wait=wait, message=message):
            return everyone(Again(code, message), sent, wait=wait, usable=False)
        case NoAnswer(code=code, message=message):
            return everyone(Doubt(code, message), sent, usable=False)
        case Response():
            pass
    status = result.status
    wait = retry_after(result.headers.get("retry-after"), now)
    code = f"http_{status}"
    if 200 <= status < 300:  # noqa: PLR2004  # RFC 9110
        if result.trouble:
            return everyone(Doubt("unreadable", result.trouble), sent, usable=False)
        return judge_read(list(read_replies(vendor, result, sent)), wait)
    if status == 429:  # noqa: PLR2004
        return everyone(Again("rate_limited"), sent, wait=wait, later=True)
    if status == 425 or status in vendor.again_statuses:  # noqa: PLR2004
        return everyone(Again(code), sent, wait=wait, later=True)
    if status == 503 and wait is not None and assumptions.retry_after_is_refusal:  # noqa: PLR2004
        return everyone(Again(code), sent, wait=wait, later=True)
    if status == 401:  # noqa: PLR2004
        return everyone(Stop(code), sent, renew=True)
    if status in {400, 409, 413, 422}:
        return judge_refusal(result, sent, vendor, assumptions)
    # A 408 stays doubt: a proxy may say it of a request that the vendor has taken.
    if 300 <= status < 500 and status != 408:  # noqa: PLR2004
        return everyone(Stop(code), sent)
    return everyone(Doubt(code), sent, usable=False, later=status == 503 and wait is not None)  # noqa: PLR2004


def everyone(reply: Reply, sent: Sequence[Payload], **more: Any) -> Verdict:
    """Return the same reply for every record.

    :param more: fields of the verdict.
    """
    return Verdict(replies=[reply] * len(sent), **more)


def judge_read(replies: Sequence[Reply], wait: float | None) -> Verdict:
    """Return the verdict on what a reader made of a 2xx."""
    again = any(isinstance(reply, Again) for reply in replies)
    return Verdict(
        replies=replies,
        progress=any(isinstance(reply, Created | Rejected) for reply in replies),
        wait=wait if again else None,
        # A record that was left out because of its neighbour is no request of the vendor to slow down.
        later=any(isinstance(reply, Again) and reply.later for reply in replies) or (again and wait is not None),
        usable=not all(isinstance(reply, Doubt) for reply in replies),
    )


def judge_refusal(answer: Response, sent: Sequence[Payload], vendor: Vendor, assumptions: Assumptions) -> Verdict:
    """Return the verdict on a refusing answer: the named are rejected, the others sent again; else halves."""
    code, named = read_refusal(vendor, answer, len(sent))
    if len(sent) == 1:
        return Verdict(replies=[Rejected(named.get(0) or (RecordError(code),))], progress=True)
    other: Reply = Again("refused_with_others") if assumptions.refusals_atomic else Doubt(code)
    replies: list[Reply] = [Rejected(named[index]) if index in named else other for index in range(len(sent))]
    return Verdict(replies=replies, halve=not named and assumptions.refusals_atomic, progress=True)


class Decision(Enum):
    """What to do with a record, given what stands of it."""

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
    standing: RecordState | None,
    payload_hash: str,
    *,
    fit: bool,
    token: str,
    sync_run_id: str,
    on_unknown: OnUnknown,
) -> Decision:
    """Return what becomes of a record before anything is sent. The standing row is asked before our own check.

    :param fit: whether our own check lets the record pass.
    :param token: of this execution: a row that carries it was decided in this very input.
    """
    if standing is None:
        return Decision.SEND if fit else Decision.INVALID
    if (standing.batch_id or "").startswith(f"{token}."):
        return Decision.DUPLICATE if standing.payload_hash in {None, payload_hash} else Decision.NOT_UNIQUE
    this_run = standing.sync_run_id == sync_run_id
    match standing.status:
        case Status.SUCCEEDED:
            return Decision.SKIP
        case Status.SENDING if not this_run and standing.age < RESPECT:
            return Decision.ELSEWHERE
        case Status.SENDING | Status.UNKNOWN:
            if on_unknown == "reconcile":
                return Decision.RECONCILE
            return Decision.RESEND if on_unknown == "resend" and fit else Decision.HOLD
        case Status.REJECTED | Status.INVALID if this_run and standing.payload_hash == payload_hash:
            return Decision.SETTLED
    return Decision.SEND if fit else Decision.INVALID
