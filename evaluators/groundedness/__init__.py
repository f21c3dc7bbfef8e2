"""The groundedness model: lexicon, text, features, model. Training uses all of it but the model."""
