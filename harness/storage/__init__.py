"""A results folder: content-keyed shards, the manifest, and all of it as tables."""
