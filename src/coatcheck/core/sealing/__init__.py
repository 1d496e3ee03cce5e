"""One key, and what is sealed and authenticated with what follows from it."""
