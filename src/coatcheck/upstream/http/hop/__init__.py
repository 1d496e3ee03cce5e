"""One HTTP exchange with a server: connections, heads, bodies, streams."""
