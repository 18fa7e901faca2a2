"""Many dubbings: a table of jobs, run here or on a cluster, and a report of what became of each."""
