"""Sinks: where copies of the record go. They follow the ledger, and no call waits for one."""
