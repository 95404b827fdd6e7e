"""Language models under reward models: forward passes, prefix trees, heads."""
