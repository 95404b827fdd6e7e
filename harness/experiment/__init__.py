"""From an experiment file to checked entries: specs, model files, problem sets."""
