"""What the commands call, one function and one options object each; `import smemnas` offers them all.

A command parses, calls one of these, and prints. Options hold what the command line's options hold, under the same
rules; lists may also be written as on the command line ("error,flops", "0-30"). Nothing here prints: what a reader must
know is in the result, and goes to the logger "smemnas".
"""
