"""Commands of the command line, one file each: they parse, call one function and print."""
