"""New versions of credentials: staged, tried at real servers, and switched to."""
