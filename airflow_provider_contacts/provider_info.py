"""What Airflow is told of this package: connection types and their forms, derived from the vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_contacts import vendors
from airflow_provider_contacts.transport.settings import KINDS, settings_of

if TYPE_CHECKING:
    from airflow_provider_contacts.vendor_kit.forms import Setting
    from airflow_provider_contacts.vendor_kit.vendor import Vendor


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
    return {
        "connection-type": vendor.name,
        "hook-class-name": f"airflow_provider_contacts.hooks.{vendor.name.capitalize()}Hook",
        "hook-name": vendor.title,
        "ui-field-behaviour": {
            "hidden-fields": list(form.hidden),
            "relabeling": dict(form.relabeling),
            "placeholders": dict(form.placeholders),
        },
        "conn-fields": {
            one.name: conn_field(one, vendor) for one in settings_of(vendor) if says_something(one, vendor)
        },
    }


def says_something(setting: Setting, vendor: Vendor) -> bool:
    """Tell whether a setting changes anything; one that does not may be in the extra, and is not in the form."""
    return setting.name != "refusals_atomic" or vendor.limits.batch_size > 1


def conn_field(setting: Setting, vendor: Vendor) -> dict[str, Any]:
    """Return one field of the form.

    Every one may be left empty, those of the destination too: the task can give it. Airflow's form would not save a
    connection without a field whose type lacks null, so the label marks what is required.
    """
    schema: dict[str, Any] = {"type": [KINDS[setting.kind].json_type, "null"]}
    if setting.allowed:
        # Without null, which the form would offer by this word; nothing chosen is saved as null all the same.
        schema["enum"] = list(setting.allowed)
    if setting.default is not None:
        schema["default"] = setting.default
    if setting.secret:
        schema["format"] = "password"
    label = setting.label
    if setting in vendor.destination.settings:
        # A part of the form of its own, and the first one.
        schema["section"] = "Destination"
        label = f"{label} ({wanted(setting.name, vendor)})"
    return {"label": label, "description": setting.description, "schema": schema}


def wanted(key: str, vendor: Vendor) -> str:
    """Say how much a key of the destination is needed."""
    if key in vendor.destination.required:
        return "required, here or on the task"
    if key in vendor.destination.exactly_one:
        return "one of these is required, here or on the task"
    return "optional"
