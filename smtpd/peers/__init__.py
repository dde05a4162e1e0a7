"""Other programs that smtpd speaks to: wire = codec, other = client."""
