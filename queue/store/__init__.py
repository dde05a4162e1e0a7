"""Where the queue lives, by URL."""
