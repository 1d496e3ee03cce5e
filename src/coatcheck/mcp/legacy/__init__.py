"""What clients of the era with sessions need: sessions, streams, and the transport before them."""
