"""How many statements a text holds. Dialects disagree about quotes, so every reading is asked, and one is enough.

Only what no dialect would take for one query is refused; in doubt the database decides.
"""

from __future__ import annotations

import re
from functools import lru_cache

from airflow_provider_contacts.errors import ConfigError

# Refused before anything runs, since not every database would roll them back: some hooks hand out connections that
# commit by themselves.
WRITING_WORDS = frozenset(
    (
        *("ALTER", "ANALYZE", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LOAD", "LOCK"),
        *("MERGE", "REPLACE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "START", "TRUNCATE", "UPDATE", "UPSERT"),
        *("USE", "VACUUM"),
    )
)

COMMENTS = r"--[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/"
# PostgreSQL's hold further ones; so deep nobody goes.
INNER = r"/\*(?:[^*/]|\*(?!/)|/(?!\*))*+\*/"
MIDDLE = rf"/\*(?:[^*/]|\*(?!/)|/(?!\*)|{INNER})*+\*/"
NESTED_COMMENTS = rf"--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*)|{MIDDLE})*+\*/"
# A doubled quote is two texts side by side, which comes to the same.
PLAIN_TEXT = r"[eE]'(?:[^'\\]|\\.)*'|'[^']*'"
ESCAPED_TEXT = r"'(?:[^'\\]|\\.)*'"
DOUBLE = r'"[^"]*"'
ESCAPED_DOUBLE = r'"(?:[^"\\]|\\.)*"'
BACKTICK = r"`[^`]*`"
DOLLAR = r"\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
TRIPLE = r"'''(?:[^\\]|\\.)*?'''|" + r'"""(?:[^\\]|\\.)*?"""'
RAW = r"[rR]'[^']*'|" + r'[rR]"[^"]*"'
ORACLE = r"[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<mark>[^\[{(<\s]).*?(?P=mark))'"
BRACKETS = r"\[[^\]]*\]"

READINGS = {
    "the standard, PostgreSQL": (NESTED_COMMENTS, DOLLAR, PLAIN_TEXT, DOUBLE),
    "SQLite": (COMMENTS, PLAIN_TEXT, DOUBLE, BACKTICK, BRACKETS),
    "MySQL": (r"#[^\n]*", COMMENTS, ESCAPED_TEXT, ESCAPED_DOUBLE, BACKTICK),
    "MySQL without escapes": (r"#[^\n]*", COMMENTS, PLAIN_TEXT, DOUBLE, BACKTICK),
    "Snowflake, Spark": (COMMENTS, DOLLAR, RAW, ESCAPED_TEXT, DOUBLE, BACKTICK),
    "BigQuery": (r"#[^\n]*", COMMENTS, TRIPLE, RAW, ESCAPED_TEXT, ESCAPED_DOUBLE, BACKTICK),
    "Oracle": (COMMENTS, ORACLE, PLAIN_TEXT, DOUBLE),
}
REST = (r"/\*", r";", r"[A-Za-z_]\w*", r"\s+", r".")


def check_statement(sql: object) -> None:
    """Refuse what is not one query.

    :raises ConfigError: saying what it is.
    """
    if not isinstance(sql, str):
        raise ConfigError(f"sql must be one query as text, not {type(sql).__name__}")
    surveys = [found for name in READINGS if (found := survey(name, sql)) is not None]
    counts = [count for _, count in surveys]
    if not counts:
        return
    if 1 not in counts:
        raise ConfigError(f"sql must be one query, it holds {min(counts)} statements")
    words = {word for word, count in surveys if count == 1}
    if words <= WRITING_WORDS:
        raise ConfigError(f"sql must be a query that returns rows, it begins with {min(words)}")


def survey(reading: str, sql: str) -> tuple[str, int] | None:
    """Return the first word in upper case and the number of statements, comments and empty ones left out.

    :return: ``None`` where this reading finds a quote or comment that nothing ends: the text is of another dialect.
    """
    first, statements, inside = "", 0, False
    for match in scanner(reading).finditer(sql):
        text = match.group()
        if text == ";":
            inside = False
        elif text == "/*":
            return None
        elif text.isspace() or text.startswith(("--", "/*")) or (text[0] == "#" and len(text) > 1):
            continue
        elif len(text) == 1 and text in "'\"`":
            return None
        elif not inside:
            inside = True
            statements += 1
            first = first or text.upper()
    return first, statements


@lru_cache(maxsize=len(READINGS))
def scanner(reading: str) -> re.Pattern[str]:
    """Return what cuts a text into comments, quoted texts, words and punctuation."""
    return re.compile("|".join((*READINGS[reading], *REST)), re.DOTALL)
