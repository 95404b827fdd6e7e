"""Trainers of reward models, from graded rollouts."""
