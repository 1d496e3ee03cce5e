"""Servers over the old HTTP+SSE transport (MCP 2024-11-05): one stream to hear, one address to post to."""
