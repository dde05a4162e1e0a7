"""Metrics: declared where they are counted, counted in a process, added up by the stats service."""
