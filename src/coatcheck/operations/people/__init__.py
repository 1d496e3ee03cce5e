"""People and automations: finding them, and seeing them off."""
