"""The key of the store: found, made, changed, and waited for."""
