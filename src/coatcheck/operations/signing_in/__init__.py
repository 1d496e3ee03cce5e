"""Who is signed in at which browser, and how one gets there."""
