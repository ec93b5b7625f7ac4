"""Numbers that judge: fronts and hypervolumes, orders, intervals and tests."""
