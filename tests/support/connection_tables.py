"""The tables of docs/connections.md and docs/vendors: what the package declares of connections and fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from airflow_provider_contacts import vendors
from airflow_provider_contacts.cli.vendor_facts import fields_of, setting_row
from airflow_provider_contacts.provider_info import connection_type
from airflow_provider_contacts.transport.settings import SHARED_SETTINGS, settings_of
from airflow_provider_contacts.vendor_kit.forms import Setting
from airflow_provider_contacts.vendor_kit.vendor import Vendor


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def labels_of(vendor: Vendor) -> dict[str, str]:
    """Return what the form calls each key that it shows; that of a connection's own fields with Airflow's words."""
    form = connection_type(vendor, "a.Hook")
    behaviour = form["ui-field-behaviour"]
    own = {"host": "Host", "login": "Login", "password": "Password"} | behaviour["relabeling"]
    fields = {key: field["label"] for key, field in form["conn-fields"].items()}
    return {key: label for key, label in own.items() if key not in behaviour["hidden-fields"]} | fields


def cells_of(setting: Setting, default: str) -> list[str]:
    """Return the row of an extra key."""
    return [f"`{setting.name}`", setting.label, setting_row(setting)["meaning"], default]


def shared_keys() -> str:
    """Return the extra keys of every connection type; a key whose default is not every vendor's has several rows."""
    shared = {one.name for one in SHARED_SETTINGS}
    settings = (one for name in vendors.names() for one in settings_of(vendors.load(name)) if one.name in shared)
    rows = dict.fromkeys(tuple(cells_of(one, one.otherwise)) for one in settings)
    return table(["key in the extra", "field of the form", "meaning", "default"], rows)


def keys_of(vendor: Vendor) -> str:
    """Return a vendor's own fields and extra keys, the destination first."""
    labels, examples, form = labels_of(vendor), vendor.auth.examples, vendor.destination
    rows = [[f"`{key}`", labels[key], f"Such as `{examples[key]}`" if examples.get(key) else "", "required"]
            for key in ("login", "password") if key in labels]  # fmt: skip
    if vendor.auth.settings:
        rows[0][2:] = "With an empty one, the password is a ready token", "none"
    for one in (*form.settings, *vendor.settings, *vendor.auth.settings):
        needed = "one of these is required" if one.name in form.exactly_one else "required"
        default = needed if one.name in {*form.required, *form.exactly_one} else one.otherwise
        row = cells_of(one, default)
        rows.append([f"extra {row[0]}", re.sub(r" \(.*\)$", "", labels[one.name]), *row[2:]])
    placeholders = connection_type(vendor, "a.Hook")["ui-field-behaviour"]["placeholders"]
    rows.append(["`host`", labels["host"], "Another base URL", placeholders["host"]])
    marked = [[re.sub(r"https://[^\s,]+", r"`\g<0>`", cell) for cell in row] for row in rows]
    return table(["key", "field of the form", "meaning", "default"], marked)


def fields_table(vendor: Vendor) -> str:
    """Return a vendor's fields; those of one kind share a row."""
    grouped: dict[tuple[str, str], list[str]] = {}
    places = {one.name for one in vendor.destination.settings}
    for row in (one for one in fields_of(vendor) if one["field"] not in places):
        kind = re.sub(r"\{.*\}", r"`\g<0>`", f"{row['type']}{' or null' if row['nullable'] else ''}")
        grouped.setdefault((kind, "yes" if row["required"] else "no"), []).append(f"`{row['field']}`")
    return table(["field", "type", "required"], [[", ".join(names), *kind] for kind, names in grouped.items()])


BLOCKS: Mapping[str, Callable[[], str]] = {
    "shared keys": shared_keys,
    **{f"keys of {name}": partial(keys_of, vendors.load(name)) for name in vendors.names()},
    **{f"fields of {name}": partial(fields_table, vendors.load(name)) for name in vendors.names()},
}
