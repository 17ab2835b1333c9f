"""What Airflow is told of this distribution."""

from __future__ import annotations

from typing import Any

from acme_contacts.vendor import VENDOR
from airflow_provider_contacts.provider_info import provider_info


def get_provider_info() -> dict[str, Any]:
    """Return the description, as Airflow's ``provider_info`` schema wants it."""
    return provider_info(
        "acme-contacts", "Acme", "Push contacts into Acme.", [(VENDOR, "acme_contacts.hooks.AcmeHook")]
    )
