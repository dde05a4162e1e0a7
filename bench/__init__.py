"""Comparisons with other servers on the same machine; `python -m bench` runs them."""
