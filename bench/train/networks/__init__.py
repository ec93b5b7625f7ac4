"""Networks that a space's genotypes name."""
