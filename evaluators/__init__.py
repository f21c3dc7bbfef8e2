"""How answers are judged: rules, heuristics, an LLM judge, and the cascade from cheap to dear."""
