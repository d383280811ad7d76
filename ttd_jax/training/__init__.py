"""Training of the networks in the package: scenes, sources, objective, loop and recipes."""
