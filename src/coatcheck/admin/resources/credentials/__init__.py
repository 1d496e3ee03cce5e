"""Credentials and their rotation over the API: shapes and routes."""
