"""The program `armonikctl`: a cluster's Sessions, Tasks, Partitions, results and environments."""
