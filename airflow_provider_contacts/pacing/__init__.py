"""When to send: a token bucket, an adaptive window, a shared rate."""
