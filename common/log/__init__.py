"""Events and the log."""
