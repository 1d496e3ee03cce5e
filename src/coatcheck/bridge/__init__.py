"""`coatcheck bridge`: one client on standard input and output, one gateway over HTTP, the same messages."""
