"""How results look: on a terminal, as tables, figures, a page, a model card, and for MTEB."""
