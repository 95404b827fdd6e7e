"""From stored scores to numbers: selection, estimates, intervals, tables."""
