"""The source's columns against the vendor's fields, before anything is sent: what is wrong, and what was meant."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.nearest import nearest
from airflow_provider_contacts.records.columns import shorthand_target
from airflow_provider_contacts.records.row_values import Reasons
from airflow_provider_contacts.vendor_kit.vendor import Vendor

log = logging.getLogger(__name__)

FEW = 20
"""Names that an error lists; of more it names the nearest alone."""

CASE = 'only the case differs: name them in field_map, or give them lower-case aliases in quotes (AS "first_name")'


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
    near = differing_in_case(extra, fields)
    if extra and unmapped == "error":
        ways = CASE if near == extra else 'name them in field_map, leave them out, or set unmapped="ignore"'
        raise ConfigError(f"columns {cut(extra)} are no fields of {title}{meant(extra, fields)}: {ways}")
    if near and not any(map(is_field, targets)):
        raise ConfigError(f"no column is a field of {title}{meant(near, fields)}: {CASE}")
    if near:
        log.warning('unmapped="ignore" leaves out columns %s: %s', near, CASE)


def check_present(parameter: str, wanted: Iterable[str], columns: Collection[str]) -> None:
    """Check that the source has the columns that a parameter names."""
    absent = [column for column in wanted if column not in columns]
    if absent:
        hint = "; only the case differs" if differing_in_case(absent, columns) == absent else ""
        told = meant(absent, columns)
        raise ConfigError(f"{parameter} names columns {cut(absent)} that the source does not have{told}{hint}")


def meant(names: Sequence[str], known: Collection[str]) -> str:
    """Return, in brackets, the nearest known name of each; where one has none, the known ones if they are few."""
    near = {name: nearest(name, known) for name in names[:FEW]}
    parts = [f"did you mean {one!r} instead of {name!r}?" for name, one in near.items() if one is not None]
    if None in near.values() and len(known) <= FEW:
        parts.append(f"there are {sorted(known)}")
    return f" ({' '.join(parts)})" if parts else ""


def cut(names: Sequence[str]) -> str:
    """Return the first names of many."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{list(names[:FEW])}{more}"


def differing_in_case(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the names that differ from known ones in case alone."""
    folded = {one.casefold() for one in known}
    return [name for name in names if name not in known and name.casefold() in folded]


def about_the_key(reasons: Reasons, sync_key: Sequence[str], field_map: Mapping[str, str], title: str) -> Reasons:
    """Return the reasons; one about a key column that is a field, too, says how to keep the key from being sent."""
    columns = {field_map.get(column, column): column for column in sync_key}
    return tuple(
        (
            code,
            field,
            f"{text or code}; the sync_key's column {columns[field]!r} is a field of {title}, too: "
            f"give the key another name (SELECT {columns[field]} AS contact_{columns[field]})"
            if field in columns
            else text,
        )
        for code, field, text in reasons
    )
