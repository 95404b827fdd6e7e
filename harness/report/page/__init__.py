"""report.html: its template, its chart and its explorer of problems."""
