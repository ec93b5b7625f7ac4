"""Registered experiments by real training: a gate, a search, fresh trainings, each a stage of one plan.

`plan` is what is written before anything runs, `stages` runs what is missing of it, `outcome` says what came out, on
arrays, `power` what an experiment of its size can show.
"""
