"""What a vendor's words make of a refusing answer, in short."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_contacts.outcome import RecordError
from airflow_provider_contacts.vendor_kit.answers import read_refusal
from airflow_provider_contacts.vendor_kit.vendor import Payload, Response, Vendor


def reasons(vendor: Vendor, answer: Response, sent: Sequence[Payload]) -> Mapping[int, tuple[RecordError, ...]]:
    return read_refusal(vendor, answer, len(sent)).reasons


def code_of(vendor: Vendor, answer: Response) -> str:
    return read_refusal(vendor, answer, 1).code
