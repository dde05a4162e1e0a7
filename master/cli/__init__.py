"""columbadm, the tool of administrators."""
