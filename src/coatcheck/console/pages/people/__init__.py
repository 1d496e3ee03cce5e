"""Pages about people and automations: finding them, one of them, and seeing them off."""
