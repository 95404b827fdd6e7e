"""The figures, as PDF, PNG and SVG."""
