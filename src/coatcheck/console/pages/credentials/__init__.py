"""The pages of credentials: how they stand, and the dialogues by which they are rotated and connected."""
