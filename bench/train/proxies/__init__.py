"""Values of networks that are not trained."""
