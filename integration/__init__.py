"""The approval side of the wall: what the supermarket's results are for (000 §7, 001 §7)."""
