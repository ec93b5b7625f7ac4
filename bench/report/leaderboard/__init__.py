"""A leaderboard: who stands where on which problem, by whose runs."""
