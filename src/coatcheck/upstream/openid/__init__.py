"""The OpenID provider that people sign in with: its document, its keys, its ID tokens."""
