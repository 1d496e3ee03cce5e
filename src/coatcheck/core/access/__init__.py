"""Who may do what: the decision and what it is made of."""
