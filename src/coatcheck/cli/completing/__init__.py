"""Completion of words in a shell, of names that a gateway knows among them."""
