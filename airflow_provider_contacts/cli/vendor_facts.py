"""``vendors``: what a vendor takes, and on what evidence, out of its file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from airflow_provider_contacts import vendors as known
from airflow_provider_contacts.cli.output import Row, write
from airflow_provider_contacts.transport.settings import parse_settings, settings_of
from airflow_provider_contacts.vendor_kit import fields
from airflow_provider_contacts.vendor_kit.forms import Account, Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor

FORMS = ((fields.Email, "email"), (fields.Uuid, "UUID"), (fields.Date, "date"), (fields.Moment, "date and time"))
"""Texts of a form of which their schema says nothing."""


def vendors(options: argparse.Namespace) -> int:
    """Print one vendor whole, or a line for each."""
    if options.name is None:
        names = [*known.names(), *known.foreign_names()]
        write(options.output, [line_of(vendor) for vendor in known.usable(names)])
    else:
        write(options.output, facts_of(known.load(options.name)))
    return 0


def line_of(vendor: Vendor) -> Row:
    """Return what one line says of a vendor."""
    destination = vendor.destination
    return {
        "name": vendor.name,
        "title": vendor.title,
        "destination": [one.name for one in destination.settings],
        "batch_size": vendor.limits.batch_size,
        "requests_per_second": vendor.limits.requests_per_second,
        "read_back": vendor.read_back is not None,
        "docs_url": vendor.docs_url,
    }


def facts_of(vendor: Vendor) -> dict[str, Row | Sequence[Row] | str]:
    """Return all that is known of a vendor."""
    settings, form, limits = settings_of(vendor), vendor.destination, vendor.limits
    base_url = vendor.base_url(Account(extra=parse_settings({}, settings, "an empty extra")))
    must, either = form.required, form.exactly_one
    needs = {one.name: "required" if one.name in must else "one of these" if one.name in either else "optional"
             for one in form.settings}  # fmt: skip
    return {
        "vendor": {
            "name": vendor.name,
            "title": vendor.title,
            "base_url": base_url,
            "credential": dict(vendor.auth.labels),
            "read_back_by": list(vendor.read_back.identity) if vendor.read_back else None,
            "docs_url": vendor.docs_url,
        },
        "limits": {name: getattr(limits, name) for name in limits.__dataclass_fields__},
        "destination": [{"key": one.name, "needed": needs[one.name], "meaning": one.description}
                        for one in form.settings],
        "fields": fields_of(vendor),
        "shorthands": [{"column": name, "field": native} for name, native in vendor.contract.shorthands.items()],
        "connection_extra": [setting_row(one) for one in settings if one not in form.settings],
        "evidence": evidence_of(vendor),
    }  # fmt: skip


def setting_row(setting: Setting) -> Row:
    """Return one extra key of the connection."""
    meaning = setting.description + (setting.bounds and f",{setting.bounds}")
    return {"key": setting.name, "default": setting.otherwise, "meaning": meaning}


def fields_of(vendor: Vendor) -> list[Row]:
    """Return the native fields; of an object's members, an asterisk marks those that it must have."""
    record = vendor.contract.record
    schema, hints = TypeAdapter(record).json_schema(), get_type_hints(record, include_extras=True)
    return [
        {
            "field": name,
            "required": field.required,
            "nullable": field.nullable,
            "type": form_of(hints[name]) or kind_of(schema["properties"][name], schema),
        }
        for name, field in vendor.contract.fields.items()
    ]


def form_of(hint: Any) -> str | None:
    """Return the form of a text, if its annotation names one."""
    return next((word for form, word in FORMS if form == hint or form in get_args(hint)), None)


def kind_of(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Return a JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(kind_of(one, whole) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        needed = target.get("required", ())
        return f"{{{', '.join(name + ('*' if name in needed else '') for name in target['properties'])}}}"
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if schema.get("type") == "array":
        return f"list of {kind_of(schema['items'], whole)}"
    least, most = (schema.get(name, schema.get(other)) for name, other in
                   (("minLength", "ge"), ("maxLength", "le")))  # fmt: skip
    bounds = f" ({least or 0} to {most})" if most is not None else f" (at least {least})" if least is not None else ""
    return f"{schema.get('type', 'any value')}{bounds}"


def evidence_of(vendor: Vendor) -> str:
    """Return the words of the vendor's file, which mark every fact with where it is from."""
    read_back = (vendor.read_back.read,) if vendor.read_back else ()
    modules = dict.fromkeys(one.__module__ for one in (vendor.contract.record, *read_back))
    return "\n".join(sys.modules[name].__doc__ or "" for name in modules)
