"""The verbs of the command, a file each. They import heavy modules when they run."""
