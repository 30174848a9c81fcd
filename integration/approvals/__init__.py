"""The core approval module: the guide to matters, cases, matters, decisions (life-cycles §4)."""
