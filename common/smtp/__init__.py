"""SMTP and LMTP, server and client, without I/O."""
