"""``flask story``: the whole chain over HTTP, from the shelf to the decision, as people without JavaScript play it.

A portal of its own (cluster, database, free port) is started in the sandbox, so that the story also runs beside
a running portal. It ends by verifying the history, and leaves ``var/story/trail.jsonl`` for other programs.
"""

from __future__ import annotations
