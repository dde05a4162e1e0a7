"""The development set-up: a whole server of one's own in a folder, and two mails sent through it."""
