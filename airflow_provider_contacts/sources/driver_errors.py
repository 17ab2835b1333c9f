"""Texts of drivers' errors: what is about the query is shown, what may come out of a row is not.

A driver's text often quotes the value that it could not read. So it is shown only where the database's own code says
that the query, the right or the connection is meant; and of what it quotes, only what stands in the query itself.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_contacts.sources.row_source import name_of

# Classes of SQLSTATE: connection, feature, authorization, cursor, read-only transaction, catalogue, schema, deadlock,
# syntax and names, resources, limits, state of an object, intervention, system. Not 22 and 23: those are about values.
TELLING_STATES = {*("08", "0A", "24", "25", "26", "28", "34", "3D"), *("3F", "40", "42", "53", "54", "55", "57", "58")}

# Codes of MySQL and MariaDB about the same.
TELLING_CODES = {
    *(1040, 1044, 1045, 1046, 1049, 1052, 1054, 1055, 1060, 1064, 1066, 1102, 1103, 1109, 1111, 1140, 1142, 1143),
    *(1146, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1222, 1226, 1227, 1235, 1241, 1248, 1305, 1317, 1370, 1582),
    *(1630, 1698, 1792, 1836, 1927, 1969, 2002, 2003, 2005, 2006, 2013, 2026, 2055, 2059, 3024, 4031),
}

# How SQLite's texts begin that are about the query or the file.
TELLING_WORDS = (
    *("no such ", "near ", "unrecognized token", "ambiguous column", "attempt to write", "database ", "unable to open"),
    *("disk i/o", "interrupted", "integer overflow", "misuse of", "wrong number of", "incomplete input", "too many "),
    *("not authorized", "file is not", "incorrect number of binding", "you did not supply a value", "you can only"),
    *("parser stack", "only a single", "sub-select returns", "select", "group by", "order by", "aggregate"),
)

MYSQL = {"MySQLdb", "mysql", "pymysql"}
LONGEST_TEXT = 300

QUOTED = re.compile(r"""(?<!\w)(["'`])(.*?)\1(?!\w)|["`]|(?<!\w)'""")
NAME = r"\w+\.\w+"


def first_words(error: BaseException) -> str:
    """Return the class of an error and its text, which is not about a row."""
    return f"{name_of(type(error))}: {str(error)[:LONGEST_TEXT]}"


def describe(error: BaseException, sql: str = "") -> str:
    """Return the class of a driver's error, its code, and its text where that holds nothing of a row."""
    package = type(error).__module__.partition(".")[0]
    # Under the names that drivers give them; some put the database's number before the text.
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    numbered = bool(error.args) and package in MYSQL
    code = getattr(error, "errno", None) or (error.args[0] if numbered else None)
    own = getattr(error, "msg", None) or (error.args[-1] if numbered else error)
    text = str(getattr(getattr(error, "diag", None), "message_primary", None) or own)
    known = f"SQLSTATE {state}" if isinstance(state, str) else f"error {code}" if isinstance(code, int) else ""
    name = name_of(type(error)) + (f" ({known})" if known else "")
    if not tells_of_the_query(error, package, text, state, code):
        return f"{name} (its text is left out, since it may quote a row)"
    return f"{name}: {shown(text, sql)}"


def tells_of_the_query(error: BaseException, package: str, text: str, state: Any, code: Any) -> bool:
    """Tell whether an error is about the query, a right or the connection, and not about a value."""
    if package in {"psycopg", "psycopg2"} and state is None:
        # Raised by libpq, not by the server: about the connection.
        return any(kind.__name__ in {"OperationalError", "InterfaceError"} for kind in type(error).__mro__)
    if package == "sqlite3":
        return text.lower().startswith(TELLING_WORDS)
    if package in MYSQL:
        return code in TELLING_CODES
    return isinstance(state, str) and state[:2] in TELLING_STATES


def shown(text: str, sql: str) -> str:
    """Return the first line of a text, up to the first quotation that is not in the query."""
    line = text.strip().partition("\n")[0][:LONGEST_TEXT]
    for found in QUOTED.finditer(line):
        quoted = found[2] or ""
        # A name may be qualified with its database.
        bare = quoted.rpartition(".")[2] if re.fullmatch(NAME, quoted) else quoted
        if not quoted or (quoted not in sql and bare not in sql):
            return line[: found.start()] + "…"
    return line
