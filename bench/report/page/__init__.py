"""The page of a folder of runs, in one HTML file."""
