"""Levels, the loop, hypergradients; and, called as ``nr.search(recipe, overrides, out=...)``, the search.

``nr.search(recipe, overrides=None, *, out=None, budget=None, seed=None, device=None, resume=False,
overwrite=False, observer=None, should_stop=None)`` is ``nasrestore.api.public.search``: it searches a
recipe's space and leaves a run folder with the decisions.
"""
