"""What measures the columns that surrogates see beside an encoding, one file each; see `methods.features`."""
