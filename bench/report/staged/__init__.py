"""The report of a registered experiment: its tables as Markdown, CSV and a page with all trainings."""
