"""Changes one expression at a time and runs the tests: ``python -m tests.mutants --sample 300 --seed 0``."""
