"""Look-ups in the domain name system."""
