"""Exchange with other systems: access tokens and the JSON API (000 §六(二), 001 §9.4 "共享交换")."""
