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

# PostgreSQL's comments hold further ones, here two levels of them.
INNER = r"/\*(?:[^*/]|\*(?!/)|/(?!\*))*+\*/"
MIDDLE = rf"/\*(?:[^*/]|\*(?!/)|/(?!\*)|{INNER})*+\*/"
NESTED_COMMENTS = rf"--[^\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*)|{MIDDLE})*+\*/"
COMMENTS = r"--[^\n]*|/\*(?:[^*]|\*(?!/))*+\*/"
HASH_COMMENTS = rf"#[^\n]*|{COMMENTS}"
# A doubled quote is two texts side by side, which comes to the same.
PLAIN = r"""[eE]'(?:[^'\\]|\\.)*'|'[^']*'|"[^"]*"|`[^`]*`"""
ESCAPED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`"""
DOLLAR = r"\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$"
TRIPLE = r"'''(?:[^\\]|\\.)*?'''|" + r'"""(?:[^\\]|\\.)*?"""'
RAW = r"[rR]'[^']*'|" + r'[rR]"[^"]*"'
ORACLE = r"[qQ]'(?:\[.*?\]|\{.*?\}|\(.*?\)|<.*?>|(?P<mark>[^\[{(<\s]).*?(?P=mark))'"
BRACKETS = r"\[[^\]]*\]"
REST = (r"/\*", r";", r"[A-Za-z_]\w*", r"\s+", r".")

READINGS = {
    name: re.compile("|".join((*patterns, *REST)), re.DOTALL)
    for name, patterns in {
        "the standard, PostgreSQL, Oracle": (NESTED_COMMENTS, DOLLAR, ORACLE, PLAIN),
        "SQLite, SQL Server": (COMMENTS, PLAIN, BRACKETS),
        "MySQL, BigQuery": (HASH_COMMENTS, TRIPLE, RAW, ESCAPED),
        "MySQL without escapes": (HASH_COMMENTS, PLAIN),
        "Snowflake, Spark": (COMMENTS, DOLLAR, RAW, ESCAPED),
    }.items()
}


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
    for match in READINGS[reading].finditer(sql):
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
