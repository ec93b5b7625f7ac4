"""From one architecture to a trained network."""
