"""Look-up tables by URL."""
