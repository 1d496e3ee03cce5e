"""Policies as operators make them: put, compared, taken back, and used on somebody or something."""
