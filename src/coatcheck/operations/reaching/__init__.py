"""Which server a call goes to, over which session, and what is known of its lists."""
