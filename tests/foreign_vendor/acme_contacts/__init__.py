"""The vendor Acme, and its hook."""
