"""Tools are pinned as they were at first sight; what a server makes of them waits for an operator."""
