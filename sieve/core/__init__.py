"""RFC 5228 itself: control commands, tests, actions."""
