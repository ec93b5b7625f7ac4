"""The ranking study: how well a surrogate orders architectures that it has not seen, and at what cost.

`data` is what is ranked (architectures, truths, splits, pools), `metrics` how well, `trial` one fit and its
scores, `plan` what is compared, `study` runs what is missing, `tables` summarises.
"""
