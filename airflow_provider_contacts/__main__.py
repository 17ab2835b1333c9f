"""``python -m airflow_provider_contacts``: the same commands as ``airflow contacts``."""

from __future__ import annotations

from airflow_provider_contacts.cli.program import main

if __name__ == "__main__":
    raise SystemExit(main())
