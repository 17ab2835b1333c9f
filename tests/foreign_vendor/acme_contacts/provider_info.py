"""What Airflow is told of this distribution."""

from __future__ import annotations

from typing import Any

from airflow_provider_contacts.provider_info import provider_info


def get_provider_info() -> dict[str, Any]:
    """Return the description, as Airflow's ``provider_info`` schema wants it."""
    hooks = {"acme": "acme_contacts.hooks.AcmeHook"}
    return provider_info("acme-contacts", "Acme", "Push contacts into Acme.", hooks)
