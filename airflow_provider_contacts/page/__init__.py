"""The page in Airflow: what became of the contacts, without SQL."""
