"""The program `armonikctl`: Sessions, Tasks, Partitions and results of a cluster from the command line."""
