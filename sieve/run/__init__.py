"""Running a compiled script; without I/O."""
