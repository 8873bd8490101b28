"""Topics of examinations, one file each: a module with `draw(rng) -> Item` is a topic."""
