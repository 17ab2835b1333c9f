"""The description of this package for Airflow: connection types and their forms, derived from the vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_contacts import vendors
from airflow_provider_contacts.transport.settings import parse_settings, settings_of
from airflow_provider_contacts.vendor_kit.forms import Account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_contacts.vendor_kit.forms import DestinationForm, Setting
    from airflow_provider_contacts.vendor_kit.vendor import Vendor


def option(description: str, kind: str, default: str | None, example: str | None = None) -> dict[str, Any]:
    """Return one option of Airflow's configuration, as Airflow's ``provider_info`` schema has it."""
    words = {"description": description, "version_added": "0.1.0", "type": kind}
    return {**words, "example": example, "default": default}


OPTIONS = {
    "outcomes_conn_id": option(
        "Connection of the database with the outcome table; its user needs only the right to read. Without it, the "
        "page shows the counts and codes that are in XCom, and the command line asks for --outcomes-conn-id.",
        "string",
        default=None,
        example="outcomes",
    ),
    "outcomes_table": option(
        "Name of the outcome table, or schema.name, as the pushes have it.", "string", "contact_outcomes"
    ),
    "show_records": option(
        "Whether the page shows identifiers, texts of the vendor and payloads to users who may edit tasks of the DAG. "
        "Airflow's audit log has an entry for each such look. If not, records are shown by digest.",
        "boolean",
        "False",
    ),
}
"""The options of the section ``[contacts]`` of Airflow's configuration."""


def get_provider_info() -> dict[str, Any]:
    """Return the description of this package, as Airflow's ``provider_info`` schema wants it."""
    names = vendors.names()
    found = provider_info(
        "airflow-provider-contacts",
        "Contacts",
        "Push contacts into vendors that only offer a create API, and know what became of each.",
        {name: f"airflow_provider_contacts.hooks.{name.capitalize()}Hook" for name in names},
    )
    operators = ["airflow_provider_contacts.operators"]
    return {
        **found,
        "operators": [{"integration-name": vendors.load(name).title, "python-modules": operators} for name in names],
        "task-decorators": [{"name": "contacts", "class-name": "airflow_provider_contacts.decorators.contacts_task"}],
        "cli": ["airflow_provider_contacts.cli.definition.get_cli_commands"],
        "extra-links": [
            "airflow_provider_contacts.task.links.OutcomesLink",
            "airflow_provider_contacts.task.links.VendorDocumentationLink",
        ],
        "config": {
            "contacts": {
                "description": "For the page Contacts and the command line; a push never reads this.",
                "options": OPTIONS,
            }
        },
    }


def provider_info(package: str, name: str, description: str, hooks: Mapping[str, str]) -> dict[str, Any]:
    """Describe a distribution that brings vendors to Airflow: its ``get_provider_info`` returns this.

    A vendor that cannot be loaded is left out with a warning: an error here would end every Airflow process.

    :param package: name of the distribution.
    :param name: name of the provider, for people.
    :param description: one sentence, for people.
    :param hooks: by connection type, the import path of its hook class, such as ``acme_contacts.hooks.AcmeHook``.
    """
    found = [(vendor, hooks[vendor.name]) for vendor in vendors.usable(hooks)]
    return {
        "package-name": package,
        "name": name,
        "description": description,
        "integrations": [
            {"integration-name": vendor.title, "external-doc-url": vendor.docs_url, "tags": ["service"]}
            for vendor, _ in found
        ],
        "hooks": [
            {"integration-name": vendor.title, "python-modules": [path.rpartition(".")[0]]} for vendor, path in found
        ],
        "connection-types": [connection_type(vendor, path) for vendor, path in found],
    }


def connection_type(vendor: Vendor, hook_class: str) -> dict[str, Any]:
    """Return one connection type with its form."""
    auth, settings = vendor.auth, settings_of(vendor)
    nothing = Account(extra=parse_settings({}, settings, "an empty extra"))
    return {
        "connection-type": vendor.name,
        "hook-class-name": hook_class,
        "hook-name": vendor.title,
        "ui-field-behaviour": {
            "hidden-fields": [one for one in ("login", "password") if one not in auth.labels],
            "relabeling": dict(auth.labels),
            "placeholders": {"host": vendor.base_url(nothing), **auth.examples},
        },
        "conn-fields": {
            one.name: conn_field(one, vendor.destination)
            for one in settings
            # Which says nothing of single records.
            if one.name != "refusals_atomic" or vendor.limits.batch_size > 1
        },
    }


def conn_field(setting: Setting, destination: DestinationForm) -> dict[str, Any]:
    """Return one field of the form.

    Every one may be left empty, those of the destination too: the task can give it. Airflow's form would not save a
    connection without a field whose type lacks null, so the label marks what is required.
    """
    schema: dict[str, Any] = {"type": [setting.kind.json_type, "null"]}
    if setting.allowed:
        # Without null, which the form would offer by this word; nothing chosen is saved as null all the same.
        schema["enum"] = list(setting.allowed)
    if setting.between:
        schema["minimum"], schema["maximum"] = setting.between
    if setting.default is not None:
        schema["default"] = setting.default
    if setting.secret:
        schema["format"] = "password"
    label, needed = setting.label, setting.name in {*destination.required, *destination.exactly_one}
    if setting in destination.settings:
        # A part of the form of its own, and the first one.
        schema["section"] = "Destination"
        which = "one of these is required" if setting.name in destination.exactly_one else "required"
        label = f"{label} ({f'{which}, here or on the task' if needed else 'optional'})"
    description = setting.description + (setting.bounds and f",{setting.bounds}")
    default = "" if needed else f". Default: {setting.otherwise}"
    return {"label": label, "description": description + default, "schema": schema}
