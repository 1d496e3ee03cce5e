"""What all pages have: who asks, what was typed, how it is shown, and the headers around it."""
