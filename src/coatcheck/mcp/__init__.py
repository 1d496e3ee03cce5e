"""The surface for MCP clients."""
