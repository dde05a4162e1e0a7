"""The log service: collects what all processes write to stderr, and writes it where log_path says."""
