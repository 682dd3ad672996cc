"""Benchmarks: each compares or counts within one run; none asserts a time."""
