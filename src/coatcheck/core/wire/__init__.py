"""What bytes mean: HTTP heads, JSON, JSON-RPC, the eras of the protocol, event streams, lines."""
