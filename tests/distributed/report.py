"""What is printed at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.distributed.promises import Evidence, dead_requests

WORDS = ("succeeded", "skipped", "rejected", "unknown", "requests")


def report(evidence: Evidence, seconds: float, noticed: float) -> str:
    """Return what happened.

    :param seconds: from the trigger to the end of the DAG run.
    :param noticed: from the kill to the moment at which Airflow knew.
    """
    statuses = Counter(row.status for row in evidence.rows)
    stored = {contact.key for contact in evidence.contacts}
    unknown = {row.key for row in evidence.rows if row.status == "unknown"}
    again = sum(request["status"] == 429 for request in evidence.requests)
    kill, died = evidence.kill, dead_requests(evidence)
    lines = {
        "run": f"{seconds / 60:.1f} minutes, {len(evidence.records)} records in {len(evidence.shards)} mapped tasks,"
        f" {evidence.batch_size} a request",
        "records": ", ".join(f"{status} {count}" for status, count in statuses.most_common()),
        "unknown": f"{len(kill.sending)} under way at the kill, {len(unknown - kill.sending)} by lost answers;"
        f" {len(unknown & stored)} exist at the vendor, {len(unknown - stored)} do not",
        "vendor": f"{len(evidence.contacts)} contacts, {len(evidence.contacts) - len(stored)} of them duplicates",
        "kills": f"1: {kill.worker} by SIGKILL, with {len(kill.delivered)} tasks; Airflow knew after {noticed:.0f} s",
        "requests": f"{len(evidence.requests)}: {len(evidence.requests) - died} by tries that ended, {died} by those"
        f" that died; {again} answered 429 and sent again, {len(evidence.unanswered())} never answered",
        "retries": f"{len(evidence.tries) - len(evidence.last_tries())}, by Airflow",
    }
    return "\n".join(["", *(f"{name:9} {text}" for name, text in lines.items()), *tasks(evidence), ""])


def tasks(evidence: Evidence) -> Iterator[str]:
    """Yield a line for each mapped task: who did what."""
    for shard, summary in sorted(evidence.summaries.items()):
        path = " -> ".join(f"{one.worker} {one.state}" for one in evidence.tries if one.shard == shard)
        counts = ", ".join(f"{word} {summary['num_' + word]}" for word in WORDS)
        yield f"shard {shard}   {path:40} {counts}"
