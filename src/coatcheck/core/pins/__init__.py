"""Tools as they were accepted, compared with what servers list now."""
