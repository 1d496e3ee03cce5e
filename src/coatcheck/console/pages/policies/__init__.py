"""The pages of policies: the list, one of them, its history, the editor, suggestions and explanations."""
