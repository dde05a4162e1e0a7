"""Authentication exchanges, without I/O."""
