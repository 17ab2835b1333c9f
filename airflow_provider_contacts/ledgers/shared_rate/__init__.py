"""Stores of a rate that many tasks share."""
