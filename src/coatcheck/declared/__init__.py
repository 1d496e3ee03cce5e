"""The files that people write, `servers.json` and `coatcheck.toml`: found, read, checked and watched."""
