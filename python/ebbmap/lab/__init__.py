"""The lab: one experiment, many maps, each in a process of its own, measured with the same ruler.

`lineup` says who takes part, `session` runs one subject and measures it, `run` runs them all, `report` shows
what came out. `scenarios` and `subjects` are what the measured process itself is made of (`worker`).
"""
