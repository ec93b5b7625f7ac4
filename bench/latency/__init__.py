"""Measuring latency: what is measured, the networks as graphs, and the clock.

`device.py` also runs alone on a device that has Python, NumPy and onnxruntime; see docs/latency.md.
"""
