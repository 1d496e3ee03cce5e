"""The surface for people: server-rendered pages, templates, one stylesheet."""
