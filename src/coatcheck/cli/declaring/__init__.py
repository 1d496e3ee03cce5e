"""Commands about the servers file: what it says, and edits of it."""
