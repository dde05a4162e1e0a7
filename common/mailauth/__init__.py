"""Proof of who sent a mail: signatures and their canonical forms; without I/O."""
