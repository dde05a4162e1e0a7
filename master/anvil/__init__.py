"""anvil: publishes the directory of workers."""
