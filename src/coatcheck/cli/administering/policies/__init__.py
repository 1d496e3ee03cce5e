"""Commands for policies: files of them, those in force, and what they are used on."""
