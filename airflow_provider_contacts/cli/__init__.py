"""The command line: ``airflow contacts …`` and ``python -m airflow_provider_contacts …``."""
