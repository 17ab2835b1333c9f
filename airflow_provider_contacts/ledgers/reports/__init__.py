"""Read-only questions about the outcome table, for people: the page in Airflow and the command line ask them."""
