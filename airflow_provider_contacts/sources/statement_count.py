"""How many statements a text holds. Dialects disagree about quotes: one query in any of them is one query.

Only what no dialect takes for one query is refused; in doubt the database decides.
"""

from __future__ import annotations

import re

from airflow_provider_contacts.errors import ConfigError

# Refused before anything runs, since not every database would roll them back: some hooks hand out connections that
# commit by themselves.
WRITING_WORDS = {
    *("ALTER", "ANALYZE", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DROP", "GRANT", "INSERT", "LOAD", "LOCK"),
    *("MERGE", "REPLACE", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "START", "TRUNCATE", "UPDATE", "UPSERT", "USE"),
    "VACUUM",
}

# A doubled quote is two texts side by side, which comes to the same; PostgreSQL's comments hold further ones.
COMMENTS = r"--[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/"
NESTED = r"--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*)|/\*(?:[^*]|\*(?!/))*+\*/)*+\*/"
PLAIN = r"""[eE]'(?:[^'\\]|\\.)*'|'[^']*'|"[^"]*"|`[^`]*`"""
ESCAPED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`"""
DOLLAR = r"\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
TRIPLE = r"'''(?:[^\\]|\\.)*?'''|" + r'"""(?:[^\\]|\\.)*?"""'
RAW = r"[rR]'[^']*'|" + r'[rR]"[^"]*"'
ORACLE = r"[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<mark>[^\[{(<\s]).*?(?P=mark))'"
REST = (r"/\*", r";", r"[A-Za-z_]\w*", r"\s+", r".")

READINGS = [
    re.compile("|".join((*patterns, *REST)), re.DOTALL)
    for patterns in (
        (NESTED, DOLLAR, ORACLE, PLAIN),  # the standard, PostgreSQL, Oracle
        (COMMENTS, PLAIN, r"\[[^\]]*\]"),  # SQLite, SQL Server
        (rf"#[^\n]*|{COMMENTS}", TRIPLE, RAW, ESCAPED),  # MySQL, BigQuery
        (rf"#[^\n]*|{COMMENTS}", PLAIN),  # MySQL without escapes
        (COMMENTS, DOLLAR, RAW, ESCAPED),  # Snowflake, Spark
    )
]


def check_statement(sql: object) -> None:
    """Refuse what is not one query."""
    if not isinstance(sql, str):
        raise ConfigError(f"sql must be one query as text, not {type(sql).__name__}")
    surveys = [found for one in READINGS if (found := survey(one, sql)) is not None]
    counts = [count for _, count in surveys]
    if not counts:
        return
    if 1 not in counts:
        raise ConfigError(f"sql must be one query, it holds {min(counts)} statements")
    words = {word for word, count in surveys if count == 1}
    if words <= WRITING_WORDS:
        raise ConfigError(f"sql must be a query that returns rows, it begins with {min(words)}")


def survey(reading: re.Pattern[str], sql: str) -> tuple[str, int] | None:
    """Return the first word in upper case and the number of statements; ``None`` where nothing ends a quote."""
    first, statements, inside = "", 0, False
    for match in reading.finditer(sql):
        text = match.group()
        if text == ";":
            inside = False
        elif text in {"/*", "'", '"', "`"}:
            return None
        elif not (inside or text.isspace() or text.startswith(("--", "/*")) or (text[0] == "#" and len(text) > 1)):
            inside = True
            statements += 1
            first = first or text.upper()
    return first, statements
