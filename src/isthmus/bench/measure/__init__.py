"""How the figures of a benchmark come about: who takes part, what is timed, the processes."""
