"""How much TLS a connection needs: policies of route, domain and time become one demand."""
