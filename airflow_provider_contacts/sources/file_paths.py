"""The files that a path names in a storage, and the one format of all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from glob import has_magic
from typing import Any

from airflow_provider_contacts.errors import ConfigError
from airflow_provider_contacts.sources.file_rows import FileFormat

SUFFIXES: Mapping[str, FileFormat] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
COMPRESSED = ".gz"

# A part of a path behind the place where a pattern begins.
HIDDEN = re.compile(r"/[._]")


def paths_of(store: Any, path: str, origin: str) -> list[str]:
    """Return the files that a path or a pattern names, in order.

    :param origin: names the path in errors.
    :raises ConfigError: where there is none.
    """
    found = matching(store, path) if has_magic(path) else single(store, path)
    urls = [store.unstrip_protocol(one) for one in (path, *found)]
    # What query engines take for unfinished, or for notes of their own.
    start = len(fixed_part(urls[0]))
    shown = [one for one, url in zip(found, urls[1:], strict=True) if not HIDDEN.search(url, start)]
    if not shown:
        left_out = f" but {len(found)} that begin with _ or ., which are left out" if found else ""
        raise ConfigError(f"{origin} matches no file{left_out}: check its spelling, and that it was written")
    return sorted(shown)


def format_of_all(store: Any, paths: Sequence[str], stated: FileFormat | None, origin: str) -> FileFormat:
    """Return the one format of some files, which is stated or told by each suffix.

    :raises ConfigError: for a file without a format, or for two of different ones.
    """
    found: dict[FileFormat, str] = {}
    for path in paths:
        one = stated or format_of(path)
        if one is None or (one == "parquet" and is_compressed(path)):
            raise ConfigError(
                f"{store.unstrip_protocol(path)} ends with none of {', '.join(SUFFIXES)}, which may be followed by "
                f"{COMPRESSED} but for parquet: narrow path down, or set file_format"
            )
        found.setdefault(one, path)
    if len(found) > 1:
        raise ConfigError(
            f"{origin} matches files of several formats, such as {' and '.join(found.values())}: narrow path down to "
            "one"
        )
    return next(iter(found))


def fixed_part(path: str) -> str:
    """Return a path up to the folder where its pattern begins; all of a path without one."""
    return re.split(r"[*?\[]", path)[0].rpartition("/")[0] if has_magic(path) else path


def single(store: Any, path: str) -> list[str]:
    """Return the file of a path without a pattern, or none."""
    try:
        kind = store.info(path)["type"]
    except FileNotFoundError:
        return []
    if kind == "directory":
        url = store.unstrip_protocol(path)
        raise ConfigError(f"{url} is a folder: name its files, such as {url.rstrip('/')}/*.csv")
    return [path]


def matching(store: Any, pattern: str) -> list[str]:
    """Return the files that a pattern matches."""
    return [path for path, info in store.glob(pattern, detail=True).items() if info["type"] != "directory"]


def is_compressed(path: str) -> bool:
    """Tell whether the bytes of a file are compressed."""
    return path.lower().endswith(COMPRESSED)


def format_of(path: str) -> FileFormat | None:
    """Return the format that the suffix of a path names."""
    name = path.lower().removesuffix(COMPRESSED)
    return next((found for suffix, found in SUFFIXES.items() if name.endswith(suffix)), None)
