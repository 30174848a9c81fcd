"""The supermarket, its modules in the order in which a purchase happens (001 §9)."""
