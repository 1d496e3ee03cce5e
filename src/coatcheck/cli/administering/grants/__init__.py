"""Commands about grants that operators issue."""
