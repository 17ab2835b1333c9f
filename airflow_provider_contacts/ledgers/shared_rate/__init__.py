"""A rate that many tasks share through a database."""
