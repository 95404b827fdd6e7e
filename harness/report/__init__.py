"""From numbers to what people read: text tables, figures, report.html."""
