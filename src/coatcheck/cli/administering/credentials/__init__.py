"""Commands about credentials: what the gateway presents to servers."""
