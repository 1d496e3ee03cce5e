"""From plain values to a policy, with everything that is wrong told at once."""
