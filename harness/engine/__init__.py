"""What runs an experiment: the graph of stages, actors, trainings, the plan."""
