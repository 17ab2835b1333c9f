"""What Airflow is told of this package: connection types and their forms, derived from the vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_contacts import vendors
from airflow_provider_contacts.core.connection import SHARED_SETTINGS

if TYPE_CHECKING:
    from airflow_provider_contacts.core.vendor import Setting, Vendor

JSON_TYPES = {
    "text": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "bool_or_path": "string",
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's ``provider_info`` schema wants it."""
    loaded = [vendors.load(name) for name in vendors.names()]
    return {
        "package-name": "airflow-provider-contacts",
        "name": "Contacts",
        "description": "Push contacts into vendors that only offer a create API, and know what became of each.",
        "integrations": [
            {"integration-name": vendor.title, "external-doc-url": vendor.docs_url, "tags": ["service"]}
            for vendor in loaded
        ],
        "hooks": [
            {"integration-name": vendor.title, "python-modules": ["airflow_provider_contacts.hooks"]}
            for vendor in loaded
        ],
        "operators": [
            {"integration-name": vendor.title, "python-modules": ["airflow_provider_contacts.operators"]}
            for vendor in loaded
        ],
        "connection-types": [connection_type(vendor) for vendor in loaded],
    }


def connection_type(vendor: Vendor) -> dict[str, Any]:
    """Return one connection type with its form."""
    form = vendor.form
    settings = (*form.settings, *vendor.destination.settings, *SHARED_SETTINGS)
    return {
        "connection-type": vendor.name,
        "hook-class-name": f"airflow_provider_contacts.hooks.{vendor.name.capitalize()}Hook",
        "hook-name": vendor.title,
        "ui-field-behaviour": {
            "hidden-fields": list(form.hidden),
            "relabeling": dict(form.relabeling),
            "placeholders": dict(form.placeholders),
        },
        "conn-fields": {setting.name: conn_field(setting) for setting in settings},
    }


def conn_field(setting: Setting) -> dict[str, Any]:
    """Return one field of the form; every one may be left empty."""
    schema: dict[str, Any] = {"type": [JSON_TYPES[setting.kind], "null"]}
    if setting.allowed:
        schema["enum"] = [*setting.allowed, None]
    if setting.secret:
        schema["format"] = "password"
    return {"label": setting.label, "description": setting.description, "schema": schema}
