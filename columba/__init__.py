"""Columba, a mail transfer agent that answers with the true result."""

__version__ = "0.1.0"
