"""Servers spoken to over one stream of messages each way: who waits for what, and whose a message is."""
