"""Commands that run something: the gateway, the bridge, one tool call."""
