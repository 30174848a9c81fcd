"""Pages (being written)."""
blueprints = []
ACCESS = {}
LINKS = {}
commands = []
