"""Runs and studies -> tables and figures."""
