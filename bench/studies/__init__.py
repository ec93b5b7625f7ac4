"""Many runs: plans, their execution, and what the runs say together."""
