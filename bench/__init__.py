"""Run, record and compare: the part of the suite that counts."""
