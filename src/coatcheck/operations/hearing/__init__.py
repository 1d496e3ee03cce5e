"""What servers say unasked, and who is told."""
