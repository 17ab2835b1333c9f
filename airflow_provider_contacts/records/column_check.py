"""The source's columns against the vendor's fields, before anything is sent: what is wrong, and what was meant."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import nearest
from airflow_provider_contacts.records.columns import shorthand_target
from airflow_provider_contacts.vendor_kit.vendor import Vendor

log = logging.getLogger(__name__)

FEW = 20
"""Names that an error lists; of more it names the nearest alone."""


def check_columns(
    vendor: Vendor,
    columns: Sequence[str] | None,
    *,
    sync_key: Sequence[str],
    field_map: Mapping[str, str],
    unmapped: str,
) -> None:
    """Check the parameters, and the source's columns where they are known: ``ConfigError`` says what was meant."""
    contract, title = vendor.contract, vendor.title
    fields = sorted({*contract.fields, *contract.shorthands})

    def is_field(name: str) -> bool:
        return name in contract.fields or shorthand_target(contract.shorthands, name) is not None

    if strange := sorted({name for name in field_map.values() if not is_field(name)}):
        raise ConfigError(f"field_map names no field of {title}: {cut(strange)}{meant(strange, fields)}")
    if columns is None:
        return
    check_present("sync_key", sync_key, columns)
    check_present("field_map", field_map, columns)
    targets = [field_map.get(column, column) for column in columns]
    if twice := sorted({target for target in targets if targets.count(target) > 1}):
        raise ConfigError(f"more than one column becomes the field {twice} of {title}")
    extra = [one for one in columns if one not in field_map and one not in sync_key and not is_field(one)]
    if extra and unmapped == "error":
        told = f"columns {cut(extra)} are no fields of {title}{meant(extra, fields)}: {ways(extra, fields)}"
        key = "" if sync_key else "give the one that identifies a record as sync_key, "
        raise ConfigError(f'{told}, leave them out, {key}or set unmapped="ignore"')
    if near := [one for one in extra if one.casefold() in fields]:
        told = 'unmapped="ignore" leaves out columns %s, which differ from fields in case alone: %s'
        log.warning(told, near, ways(near, fields))


def check_present(parameter: str, wanted: Iterable[str], columns: Collection[str]) -> None:
    """Check that the source has the columns that a parameter names."""
    absent = [column for column in wanted if column not in columns]
    if absent:
        told = f"{parameter} names columns {cut(absent)} that the source does not have"
        raise ConfigError(f"{told}{meant(absent, columns)}")


def meant(names: Sequence[str], known: Collection[str]) -> str:
    """Return, in brackets, the nearest known name of each; where one has none, the known ones if they are few."""
    near = {name: nearest(name, known) for name in names[:FEW]}
    parts = [f"did you mean {one!r} instead of {name!r}?" for name, one in near.items() if one is not None]
    if None in near.values() and len(known) <= FEW:
        parts.append(f"there are {sorted(known)}")
    return f" ({' '.join(parts)})" if parts else ""


def ways(columns: Sequence[str], fields: Collection[str]) -> str:
    """Return how columns become fields, with the first field that may be meant as an example."""
    field = next(filter(None, (nearest(name, fields) for name in columns[:FEW])), None)
    return "name them in field_map, in SQL also by an alias" + (f' (AS "{field}")' if field else "")


def cut(names: Sequence[str]) -> str:
    """Return the first names of many."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{list(names[:FEW])}{more}"
