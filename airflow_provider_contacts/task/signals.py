"""What a push tells Airflow at its end: metrics, a warning, an asset event. Numbers and codes, nothing of a person."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from airflow_provider_contacts.outcome import UNDELIVERED, Status

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_contacts.ledgers.run_identity import Binding, RunIdentity
    from airflow_provider_contacts.task.summary import Report

log = logging.getLogger(__name__)


class Delivery(NamedTuple):
    """What one execution brought to the vendor, and where to: an operator keeps it for OpenLineage."""

    uri: str
    num_succeeded: int


def alias_name(dag_id: str, task_id: str) -> str:
    """Return the name of the asset alias of a task that pushes; on MySQL, Airflow takes ASCII alone for one."""
    return quote(f"contacts/{dag_id}/{task_id}")


def asset_uri(binding: Binding) -> str:
    """Return ``contacts://{vendor}/{host}/{object}``, each part percent-encoded: without port, path or credential."""
    parts = (binding.destination, binding.destination_host, binding.destination_object)
    return "contacts://" + "/".join(quote(part, safe="") for part in parts if part)


def emit_metrics(report: Report, run: RunIdentity) -> None:
    """Count what one execution did; one that follows, after a failure or a reschedule, counts its own."""
    tags = {"vendor": report.vendor, "dag_id": run.dag_id, "task_id": run.task_id}
    with harmless("metrics"):
        from airflow.sdk.observability.stats import Stats

        for status, count in report.statuses.items():
            # What waits for a task that comes back has not failed.
            if count and not (status is Status.FAILED and report.status == "running"):
                Stats.incr(f"contacts.records.{status.value}", count, tags=tags)
        Stats.incr("contacts.requests", report.num_requests, tags=tags)
        Stats.timing("contacts.push.duration", datetime.now(UTC) - report.started_at, tags=tags)


def warn_if_partial(report: Report) -> None:
    """Log one warning where the task succeeds although records are not delivered: nobody looks at a green task."""
    if report.num_undelivered:
        counts = [f"{count} {one.value}" for one, count in report.statuses.items() if count and one in UNDELIVERED]
        held = f" ({report.num_held} of earlier runs)" if report.num_held else ""
        log.warning(
            *("Of %s records %s%s: tolerated, not delivered; first codes: %s", sum(report.statuses.values())),
            *(", ".join(counts), held, report.first_codes()),
        )


def add_asset_event(context: Context, uri: str, extra: Mapping[str, Any]) -> None:
    """Add the event that Airflow writes down if the task succeeds and has the alias among its outlets."""
    with harmless("asset event"):
        from airflow.sdk import Asset, AssetAlias

        ti = context["ti"]
        alias = AssetAlias(alias_name(ti.dag_id, ti.task_id))
        context["outlet_events"][alias].add(Asset(uri), extra=dict(extra))


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a signal into a warning: it must not change how a task ends."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # of a metrics client or a backend of the user's
        log.warning("The %s of this task could not be sent: %s", what, type(error).__name__)
