"""Pages of the log: calls, changes, refusals, and the chain that they hang on."""
