"""Grants: made, shown, ended, and seen in use."""
