"""Calls between processes over ZeroMQ: typed frames, the directory, deadlines."""
