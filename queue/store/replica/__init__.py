"""The `replica:` store: objects kept by several members, each change decided by a majority of them."""
