"""Commands about what is kept: copies of the data directory, its form, tokens."""
