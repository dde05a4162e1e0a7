"""The auth service: passwords of a passwd-file behind Dovecot's authentication protocol."""
