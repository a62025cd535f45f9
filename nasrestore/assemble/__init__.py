"""The composition root: from names in YAML to ready objects. Nothing below knows about YAML."""
