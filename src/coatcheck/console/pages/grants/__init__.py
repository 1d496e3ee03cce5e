"""Pages about grants: the list, issuing, one grant, and ending them."""
