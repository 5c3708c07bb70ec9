"""How results look: tables."""
