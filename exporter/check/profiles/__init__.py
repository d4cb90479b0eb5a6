"""Contracts that come with the program."""
