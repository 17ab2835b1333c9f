"""From a row to its payload: keys, columns, contracts, stored payloads."""
