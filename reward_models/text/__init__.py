"""What reward models are fed: chat templates, layouts, encodings."""
