"""What a GPU must show: `make gpu`, or `python -m tests.gpu`; without one the same at toy size on the CPU.

Numerics (device against CPU, AMP against float32), resuming after kill -9, a training step beside a bare PyTorch loop,
seeds of one network as a group beside one by one,
memory beside what docs/training.md says, then as much of the registered experiment as time allows; one file of results.
"""
