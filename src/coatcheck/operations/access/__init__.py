"""Who may call what, over everybody and everything: only what is looked at is judged."""
