"""The record of calls: the ledger's one writer, and how entries are read back."""
