"""One module per SMTP command."""
