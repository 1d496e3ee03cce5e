"""The proofs behind the promises: real gateways on this machine, broken on purpose, and what is seen then."""
