"""Batches of plain records, and their results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_contacts.outcome import Outcome
from airflow_provider_contacts.records.batch import Batch, BatchResult, History
from airflow_provider_contacts.vendor_kit.vendor import Payload


def batch_of(
    *names: str, histories: Mapping[int, History] | None = None, payloads: Sequence[Payload] = (), **values: Any
) -> Batch:
    """Return a batch of records ``{"name": ...}`` under these identifiers, at rows from 7 on."""
    found = payloads or [{"name": name} for name in names]
    return Batch(
        identifiers=names,
        row_indexes=range(7, 7 + len(names)),
        payloads=found,
        bodies=[json.dumps(one).encode() for one in found],
        payload_hashes=[f"v1:{name}" for name in names],
        histories=histories or {},
        **values,
    )


def result_of(batch: Batch, batch_id: str, ids: Sequence[str | None] = (), *outcomes: Outcome) -> BatchResult:
    """Return a result that confirms every record but those of the outcomes."""
    places = {name: place for place, name in enumerate(batch.identifiers)}
    return BatchResult(
        batch=batch,
        batch_id=batch_id,
        http_status=200,
        ids=ids or [None] * len(batch),
        exceptions={places[one.record_identifier]: one for one in outcomes},
    )
