"""The tables `[[sinks]]` of `coatcheck.toml`."""
