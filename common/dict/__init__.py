"""Dicts: keys and values that scripts write, by URL."""
