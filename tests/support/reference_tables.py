"""The tables of the documents that are written from the package: parameters, configuration, codes, connections.

``python -m tests.support.reference_tables`` writes each one between its marks.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from airflow_provider_contacts import operators
from airflow_provider_contacts.error_codes import CODES, STATUS_WORDS
from airflow_provider_contacts.hooks import HOOKS, ContactsHook
from airflow_provider_contacts.operators import ContactsOperator
from airflow_provider_contacts.provider_info import OPTIONS
from airflow_provider_contacts.retry_policy import ContactsRetryPolicy
from airflow_provider_contacts.table_operators import TableOperator
from tests.support import connection_tables
from tests.support.connection_tables import table
from tests.support.pages import PAGES

BLOCK = re.compile(
    r"(<!-- written by python -m tests\.support\.reference_tables: (.+?) -->\n)(.*?)(<!-- end -->\n)", re.DOTALL
)
OPERATORS = [TableOperator, *(getattr(operators, name) for name in operators.__all__ if name != "ContactsOperator")]
STARTS = ("contacts_conn_id", "outcomes_conn_id", "max_rejected", "batch_size", "store_payload", "plan_only")
"""The parameters of every push with which a table begins."""


def markdown(text: str) -> str:
    """Return a piece of a docstring in Markdown, on one line."""
    named = re.sub(r":\w+:`[~.]?(?:\w+\.)*(\w+)`", r"`\1`", " ".join(text.split()))
    return named.replace("``", "`")


def described(thing: Any) -> dict[str, str]:
    """Return what a docstring says of each parameter."""
    found = re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", inspect.getdoc(thing) or "", re.MULTILINE | re.DOTALL)
    return {name: markdown(text) for name, text in found}


def default(made: Iterable[Any], name: str) -> str:
    """Return the default of a parameter in the first signature that has it."""
    value = next(one.parameters[name].default for one in map(inspect.signature, made) if name in one.parameters)
    if value is inspect.Parameter.empty:
        return "required"
    if isinstance(value, timedelta):
        hours, rest = divmod(value, timedelta(hours=1))
        return f"`timedelta({f'minutes={value.seconds // 60}' if rest else f'hours={hours}'})`"
    if isinstance(value, tuple):
        return f"`({', '.join(map(json.dumps, value))})`"
    return f"`{json.dumps(value) if isinstance(value, str) and chr(34) not in value else repr(value)}`"


def operator(kind: Any, names: Collection[str] = ()) -> str:
    """Return the parameters that an operator's own docstring describes, or some of them."""
    made = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one)]
    rendered = set(kind.template_fields) - (set() if getattr(kind, "rendered", True) else set(kind.hidden))
    rows = [
        (f"`{name}`", default(made, name), "yes" if name in rendered else "", text)
        for name, text in described(kind).items()
        if not names or name in names
    ]
    return table(("parameter", "default", "template", "meaning"), rows)


def callable_(thing: Any, made: Any, others: Any = None) -> str:
    """Return the parameters of a class or function, and name those that another docstring describes."""
    own = described(thing)
    text = table(("parameter", "default", "meaning"), ((f"`{name}`", default([made], name), own[name]) for name in own))
    rest = [f"`{name}`" for name in inspect.signature(made).parameters if name in set(described(others)) - set(own)]
    return text + (f"\nAs in every push: {', '.join(rest)}.\n" if rest else "")


def hooks() -> str:
    """Return the hook of each connection type."""
    rows = ((f"`{one.__name__}`", f"`{one.conn_type}`", f"`{one.default_conn_name}`") for one in HOOKS.values())
    return table(("hook", "connection type", "default connection"), rows)


def configuration() -> str:
    """Return the options of Airflow's configuration."""
    rows = (
        (
            f"`{name}`",
            f"`{one['default']}`" if one["default"] else "none",
            f"`AIRFLOW__CONTACTS__{name.upper()}`",
            markdown(one["description"]),
        )
        for name, one in OPTIONS.items()
    )
    return table(("option", "default", "environment variable", "meaning"), rows)


def marked(text: str) -> str:
    """Return a text with its names of parameters and columns as code."""
    return re.sub(r'\b\w*[a-z]_\w+(="\w+")?', r"`\g<0>`", text)


def codes() -> str:
    """Return one table of codes a status."""
    parts = []
    for status, listed in CODES.items():
        words = STATUS_WORDS[status]
        parts.append(f"**`{status}`**: {marked(words.meaning)} {marked(words.advice)}\n\n")
        asked = any(code.advice for code in listed.values())
        head = ("code", "meaning", "what to do")[: 3 if asked else 2]
        rows = (
            (f"`{code}`", marked(meaning), *([marked(advice)] if asked else []))
            for code, (meaning, advice) in listed.items()
        )
        parts.append(table(head, rows) + "\n")
    return "".join(parts).removesuffix("\n")


def groups() -> Iterator[tuple[str, list[str]]]:
    """Yield the parameters of every push in the groups of the page, each under its first one."""
    names = list(described(ContactsOperator))
    starts = [*map(names.index, STARTS), len(names)]
    return ((names[one], names[one:other]) for one, other in pairwise(starts))


BLOCKS: Mapping[str, Callable[[], str]] = {
    **{f"ContactsOperator from {first}": partial(operator, ContactsOperator, some) for first, some in groups()},
    **{one.__name__: partial(operator, one) for one in OPERATORS},
    "ContactsHook.push": partial(callable_, ContactsHook.push, ContactsHook.push, ContactsOperator),
    "ContactsRetryPolicy": partial(callable_, ContactsRetryPolicy, ContactsRetryPolicy.__init__),
    "hooks": hooks,
    "configuration": configuration,
    "codes": codes,
    **connection_tables.BLOCKS,
}


def written(text: str) -> str:
    """Return a page's text with the tables of today."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n{found[4]}", text)


def named() -> Iterator[str]:
    """Yield the name of each table that a page has."""
    return (found[2] for page in PAGES for found in BLOCK.finditer(page.read_text("utf-8")))


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text("utf-8")), "utf-8")
