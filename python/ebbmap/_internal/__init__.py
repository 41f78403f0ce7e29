"""`Map`, `Cache` and `memoize` around the native module. Private: `ebbmap` has the public names.

Imports `ebbmap._core` and `ebbmap._convert`, and nothing above itself.
"""
