"""The configuration check: reads columba.conf with every service's declarations, and freezes it for the master."""
