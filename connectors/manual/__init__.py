"""Portals that nobody automates yet: a person keys the invoice, the hub keeps the books."""
