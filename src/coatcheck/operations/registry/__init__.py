"""What operators make and end while the gateway runs: grants, subjects, servers and operators."""
