"""How the embedded model is made: run by hand, imported by nothing else in the package."""
