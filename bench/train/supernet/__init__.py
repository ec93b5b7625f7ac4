"""One network that holds all of a space's, and what it tells."""
