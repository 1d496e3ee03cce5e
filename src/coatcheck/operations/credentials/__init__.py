"""The use cases of credentials: what we present to servers, in versions, and how they are rotated."""
