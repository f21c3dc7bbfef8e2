"""The fire drill: a rehearsed regression on the real path, in a store of its own."""
