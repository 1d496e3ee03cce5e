"""The nouns: frozen dataclasses and enums that every floor may hold. Standard library only."""
