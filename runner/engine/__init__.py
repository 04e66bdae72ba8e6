"""Main's side of the runs: claims, slots, the boundary, rescue and probes."""
