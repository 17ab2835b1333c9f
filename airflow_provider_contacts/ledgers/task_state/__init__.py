"""Airflow's task state store as a ledger."""
