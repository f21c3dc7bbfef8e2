"""Engines for development and tests: Prism, Flink and Kafka, pinned, put in place and run on loopback."""
