"""One call from the decision to the answer."""
