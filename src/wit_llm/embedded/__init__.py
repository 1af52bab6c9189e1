"""What travels inside the package: the model `tiny`, and the recipe that makes it."""
