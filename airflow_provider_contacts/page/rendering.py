"""The page's templates: one environment, in which every expression is escaped and every foreign text is visible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_provider_contacts.error_codes import CODES, FORGOTTEN, NEVER_READ, RUN_STATUS_WORDS, STATUS_WORDS, explain
from airflow_provider_contacts.page.hostile_text import block, foreign, visible
from airflow_provider_contacts.page.plots import DELIVERED, TROUBLED, bar_of, plot_of

if TYPE_CHECKING:
    from markupsafe import Markup

MINUTE, HOUR = 60, 3600


def render(name: str, part: str | None = None, /, **context: Any) -> str:
    """Return a template as HTML, or one block of it alone: what htmx asks for is named by its target.

    :param part: a block of the template; another name gives the whole page.
    """
    template = environment().get_template(name)
    if part is None or part not in template.blocks:
        return template.render(context)
    return "".join(template.blocks[part](template.new_context(context)))


@cache
def environment() -> Environment:
    """Return the environment, whose macros are at hand in every block."""
    made = Environment(
        loader=PackageLoader("airflow_provider_contacts.page"),
        autoescape=True,
        finalize=visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "foreign": foreign,
        "segment": segment,
        "query": query,
        "conf": conf,
        "number": number,
        "moment": moment,
        "seconds": seconds,
        "pretty": pretty,
    }
    made.globals |= {
        "explain": explain,
        "status_of_code": status_of_code,
        "status_words": STATUS_WORDS,
        "run_status_words": RUN_STATUS_WORDS,
        "never_read": NEVER_READ,
        "forgotten": FORGOTTEN,
        "bar_of": bar_of,
        "plot_of": plot_of,
        "DELIVERED": DELIVERED,
        "TROUBLED": TROUBLED,
    }
    made.globals["ui"] = made.get_template("macros.html").module
    return made


def segment(value: str) -> str:
    """Return a text as one segment of a path."""
    return quote(value, safe="", errors="replace")


def query(values: Mapping[str, Any]) -> str:
    """Return a query string of what is given, without what is ``None`` or empty."""
    given = {name: value for name, value in values.items() if value not in {None, ""}}
    return "?" + urlencode(given, errors="replace") if given else ""


def conf(value: object) -> Markup:
    """Return the configuration of a DAG run as JSON of ASCII alone, to be copied."""
    return block(json.dumps(value, indent=2))


def pretty(text: str) -> Markup:
    """Return JSON text with indents where it is JSON; its numbers and escapes stay as they were sent."""
    try:
        return block(msgspec.json.format(text, indent=2))
    except (msgspec.DecodeError, ValueError, RecursionError):  # an older msgspec's is no ValueError
        return block(text)


def status_of_code(code: str) -> str | None:
    """Return the first status that knows a code: a summary counts codes alone."""
    return next((status for status, codes in CODES.items() if code in codes), None)


def number(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}"


def moment(value: datetime | date | str) -> str:
    """Return a moment as people read it, in UTC; a text of ISO 8601, as summaries have it, is one too."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return str(value)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{value:%Y-%m-%d}"


def seconds(value: float) -> str:
    """Return a duration as people read it."""
    if value < MINUTE:
        return f"{value:.1f} s"
    whole = timedelta(seconds=round(value))
    minutes, rest = divmod(int(whole.total_seconds()), MINUTE)
    return f"{minutes} min {rest} s" if value < HOUR else f"{minutes // 60} h {minutes % 60} min"
