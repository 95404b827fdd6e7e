"""Problem sets and files of responses, read."""
