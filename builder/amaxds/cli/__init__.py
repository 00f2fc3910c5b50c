"""The command line: every command parses its arguments, calls one function, and prints the result."""
