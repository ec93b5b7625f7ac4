"""Pictures of one architecture."""
