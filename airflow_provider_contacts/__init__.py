"""Push contacts from a warehouse or an upstream task into vendors that only offer a create API."""
