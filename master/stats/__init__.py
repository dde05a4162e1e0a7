"""The stats service: adds up what processes count, and answers GET /metrics."""
