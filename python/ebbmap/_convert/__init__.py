"""Reads what users give: durations, sizes, values of a NumPy dtype; imports modules at their first use.

The native module calls it by name. Imports nothing else of `ebbmap`, so that all parts may use it.
"""
