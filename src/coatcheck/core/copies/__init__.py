"""How copies of the ledger's entries are written: lines, CEF, syslog messages, OpenTelemetry, signatures."""
