"""What the command line and Python users call: one function per command."""
