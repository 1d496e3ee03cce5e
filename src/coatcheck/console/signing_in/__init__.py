"""How people sign in at a browser, prove themselves again and sign out."""
