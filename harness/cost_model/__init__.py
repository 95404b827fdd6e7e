"""Sizes of models, the FLOPs they take, and how long a GPU needs for them."""
