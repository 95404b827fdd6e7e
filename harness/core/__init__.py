"""What all other packages use: records, steps, base classes of components, the registry."""
