"""Records in doubt, looked for at the vendor."""
