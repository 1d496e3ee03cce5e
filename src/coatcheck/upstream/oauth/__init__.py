"""OAuth towards servers: what is said to authorization servers, by our own rules for what is dialled."""
