"""What everything else is made of: records, steps, base classes of components, the registry."""
