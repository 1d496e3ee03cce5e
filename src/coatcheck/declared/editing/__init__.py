"""Changes to files that people write: as small as can be, and never half done."""
