"""The command line: which command, with which settings, and a module for each command."""
