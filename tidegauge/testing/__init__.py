"""Fakes that ship with the package: real servers on loopback, a clock set by hand, a factory of log lines."""
