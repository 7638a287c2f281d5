"""Benchmarks, run by hand: ``python -m tests.benchmarks NAME``. See README.md beside this file."""
