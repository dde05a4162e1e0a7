"""Streams, TLS and addresses."""
