"""The questions, a row and a function each: ``cpu``, ``memory``, and ``machine`` for the rest."""
