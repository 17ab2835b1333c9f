"""Sockets: connection, client, tokens; the only code that knows an HTTP library."""
