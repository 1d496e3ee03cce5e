"""Use cases: what the product does, in terms of ports. Nothing here knows HTTP, SQL or the clock."""
