"""The Sieve language: grammar, tree, validation, compilation; without I/O."""
