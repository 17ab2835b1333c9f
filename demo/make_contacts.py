"""Write an SQLite warehouse of invented contacts from many countries and scripts, with the dirt of real life.

Nobody here exists. Mail addresses are under example.com, .org and .net (RFC 2606). Phone numbers come from the blocks
that regulators keep for films where there are such (North America, Australia, France, Germany, Ireland, Sweden,
United Kingdom); elsewhere they only have the form of the country's numbers: never call or text one.

The same seed and number of rows give the same table on every machine.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

SCHEMA = """
CREATE TABLE contacts (
    contact_id TEXT,
    first_name TEXT,
    last_name TEXT,
    full_name TEXT,
    email TEXT,
    phone, -- no type: SQLite keeps the numbers that a spreadsheet made of some
    company, -- likewise
    job_title TEXT,
    city TEXT,
    country TEXT,
    timezone TEXT,
    language TEXT,
    birthday TEXT,
    priority INTEGER,
    created_at TEXT,
    updated_at TEXT
)
"""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where people come from.

    :param phones: number patterns; each ``#`` becomes a random digit.
    :param cities: names with their time zones.
    :param given: names, with Latin letters after ``=`` where they are needed for a mail address.
    :param name: order and spacing of a full name.
    :param company: made of a family name.
    """

    language: str
    country: str
    phones: tuple[str, ...]
    cities: tuple[tuple[str, str], ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    name: str
    company: str
    jobs: tuple[str, ...]


def places() -> tuple[Place, ...]:
    """Read the places from the file beside this one."""
    listed = json.loads(Path(__file__).with_name("places.json").read_text(encoding="utf-8"))
    return tuple(
        Place(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in one.items()}
            | {"cities": tuple(one["cities"].items())}
        )
        for one in listed
    )


PLACES = places()

# Letters that no decomposition turns into plain ones.
PLAIN = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "\u0131": "i", "æ": "ae", "þ": "th", "ð": "d", " ": ".", "'": ""}
)
HOSTS = ("example.com", "example.org", "example.net", "mail.example.com", "north.example.org", "post.example.net")
FIRST_DAY, FIRST_MOMENT = date(1940, 1, 1).toordinal(), datetime(2019, 1, 1, tzinfo=UTC)
LAST_MOMENT = "2026-01-01T00:00:00+00:00"


def latin(word: str) -> tuple[str, str]:
    """Return a name as it is written, and as it stands in a mail address."""
    written, _, spelled = word.partition("=")
    plain = (spelled or written).lower().translate(PLAIN)
    return written, "".join(letter for letter in unicodedata.normalize("NFD", plain) if letter.isascii())


SPELLED = {word: latin(word) for one in PLACES for word in (*one.given, *one.family)}


def person(index: int, rng: Random) -> Row:
    """Return one clean row."""
    draw = rng.random

    def pick(options: tuple[Any, ...]) -> Any:
        return options[int(draw() * len(options))]

    home: Place = pick(PLACES)
    city, zone = pick(home.cities)
    (given, given_spelled), (family, family_spelled) = SPELLED[pick(home.given)], SPELLED[pick(home.family)]
    pattern: str = pick(home.phones)
    blanks = pattern.count("#")
    created = FIRST_MOMENT + timedelta(seconds=int(draw() * 200_000_000))
    return {
        "contact_id": f"C{index + 1:06d}",
        "first_name": given,
        "last_name": family,
        "full_name": home.name.format(given=given, family=family),
        "email": f"{given_spelled}.{family_spelled}{index}@{pick(HOSTS)}",
        "phone": f"{pattern.rstrip('#')}{int(draw() * 10**blanks):0{blanks}d}",
        "company": home.company.format(family),
        "job_title": pick(home.jobs),
        "city": city,
        "country": home.country,
        "timezone": zone,
        "language": home.language,
        "birthday": date.fromordinal(FIRST_DAY + int(draw() * 24_000)).isoformat(),
        "priority": 1 + int(draw() * 5),
        "created_at": created.isoformat(),
        "updated_at": (created + timedelta(seconds=int(draw() * 20_000_000))).isoformat(),
    }


Spoil = Callable[[Row, Row, int], Row]
"""Makes a dirty row of a clean one, the last clean row before it, and how many of its kind there were."""


def put(column: str, *values: Any) -> Spoil:
    """Replace a column, by one value after the other."""
    return lambda row, before, nth: row | {column: values[nth % len(values)]}  # noqa: ARG005  # the signature of all


def wrap(forms: str, *columns: str) -> Spoil:
    """Put characters around a text: ``|`` parts the forms, ``*`` is the text, in one column after the other."""

    def spoil(row: Row, _before: Row, nth: int) -> Row:
        options, column = forms.split("|"), columns[nth % len(columns)]
        return row | {column: options[nth % len(options)].replace("*", row[column])}

    return spoil


def long_name(row: Row, _before: Row, _nth: int) -> Row:
    """Give more names than a form has room for."""
    first = " ".join([row["first_name"]] * (2 + 90 // (1 + len(row["first_name"]))))
    return row | {"first_name": first, "full_name": f"{first} {row['last_name']}"}


def mononym(row: Row, _before: Row, nth: int) -> Row:
    """Leave one name only, as a good part of mankind has."""
    return row | {"last_name": ("", None)[nth % 2], "full_name": row["first_name"]}


def again(_row: Row, before: Row, nth: int) -> Row:
    """Repeat the row before, every second time with a later change."""
    return before | ({"updated_at": LAST_MOMENT} if nth % 2 else {})


def second_id(row: Row, before: Row, _nth: int) -> Row:
    """Enter the person of the row before once more, under another id."""
    return before | {"contact_id": row["contact_id"], "created_at": row["created_at"], "updated_at": row["updated_at"]}


def number(row: Row, _before: Row, nth: int) -> Row:
    """Leave a number where a text belongs."""
    return row | ({"phone": int(row["phone"])} if nth % 2 else {"company": 1984.0})


DIRT: dict[str, tuple[float, Spoil]] = {
    "email missing (NULL)": (0.015, put("email", None)),
    "email empty": (0.005, put("email", "")),
    "email malformed": (
        0.01,
        put("email", "anna.example.com", "two@@example.com", "a b@example.org", "@example.net", "n/a", "x@example,com"),
    ),
    "phone missing (NULL)": (0.02, put("phone", None)),
    "phone empty": (0.005, put("phone", "")),
    "phone malformed": (0.01, put("phone", "555-CALL", "12", "n/a", "++1 212", "+123456789012345678901", "ext. 7")),
    "name over 80 characters": (0.002, long_name),
    "row repeated (same contact_id)": (0.01, again),
    "person under a second id": (0.01, second_id),
    "stray white space": (0.01, wrap(" *|* |\t*|*\u00a0|  *  ", "first_name", "email", "full_name", "phone", "city")),
    "emoji": (0.005, wrap("* 🎉|🦊 *|*👩‍🚀|* 🇪🇺", "first_name", "company", "job_title")),
    "text empty": (0.01, put("company", "")),
    "text missing (NULL)": (0.02, put("job_title", None)),
    "number in a text column": (0.005, number),
    "control character": (0.002, wrap("*\x07|\x00*|*\x1b|*\x0b*", "first_name", "company", "city")),
    "priority out of range": (0.005, put("priority", 0, -1, 99, 2**40)),
    "mononym (no last name)": (0.01, mononym),
    "contact_id missing (NULL)": (0.0015, put("contact_id", None)),
}
"""Share of all rows and how it is made. A row has one kind of dirt at most."""


def plan(rows: int, rng: Random) -> dict[int, str]:
    """Return which rows become dirty and how, never the first, each kind at its stated rate."""
    kinds = [kind for kind, (rate, _) in DIRT.items() for _ in range(round(rate * rows))]
    return dict(zip(rng.sample(range(1, rows), len(kinds)), kinds, strict=True)) if kinds else {}


def contacts(rows: int, seed: int) -> Iterator[tuple[str | None, Row]]:
    """Yield each row with its kind of dirt, ``None`` for clean ones."""
    rng = Random(seed)
    dirty, seen = plan(rows, rng), Counter[str]()
    before: Row = {}
    for index in range(rows):
        row, kind = person(index, rng), dirty.get(index)
        if kind is None:
            before = row
        else:
            row = DIRT[kind][1](row, before, seen[kind])
            seen[kind] += 1
        yield kind, row


def write(out: Path, rows: int, seed: int) -> Counter[str]:
    """Replace the table ``contacts`` in an SQLite file; return how many rows have which dirt."""
    dirt = Counter[str]()

    def values() -> Iterator[tuple[Any, ...]]:
        for kind, row in contacts(rows, seed):
            if kind:
                dirt[kind] += 1
            yield tuple(row.values())

    out.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(out)) as connection, connection:
        connection.execute("DROP TABLE IF EXISTS contacts")
        connection.execute(SCHEMA)
        connection.executemany("INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values())
    return dirt


def main() -> None:
    """Write the warehouse and print what is in it."""
    parser = argparse.ArgumentParser(description="Write an SQLite warehouse of invented contacts.")
    parser.add_argument("--out", type=Path, default=Path("warehouse.db"), help="file to write (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=2000, help="number of rows (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same rows (default: %(default)s)")
    wanted = parser.parse_args()
    if wanted.rows < 0:
        parser.error("--rows must not be negative")
    dirt = write(wanted.out, wanted.rows, wanted.seed)
    print(f"{wanted.out}: {wanted.rows} contacts, {wanted.rows - dirt.total()} clean; the others have")
    for kind in DIRT:
        print(f"{dirt[kind]:>8}  {kind}")


if __name__ == "__main__":
    main()
