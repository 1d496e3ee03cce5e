"""The surface for programs: REST over the local socket, health and metrics."""
