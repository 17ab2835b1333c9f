"""One execution of a task in Airflow."""
