"""Commands about servers that operators register."""
