"""Messages: header fields, addresses, dates, trace fields, reports; without I/O."""
