"""Where secret material comes from."""
