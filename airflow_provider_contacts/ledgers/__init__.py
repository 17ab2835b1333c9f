"""Where the memory of a push is kept: the outcome table (``sql``), imported only by those who use it."""
