"""Admission and preemption of sequences, and the plan of each step."""
