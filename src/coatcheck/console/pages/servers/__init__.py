"""The pages of servers: the list, adding one, one server in its parts, and tools that wait for a review."""
