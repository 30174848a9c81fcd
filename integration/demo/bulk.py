"""Seeded mass data for measuring: listings and dossier rows by COPY."""

SIZES: dict[str, int] = {}
