"""The words in which a vendor is written."""
