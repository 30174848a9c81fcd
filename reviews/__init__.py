"""Technical review: rounds, opinions, panels, conclusions (000 §8). Not written yet.

It will stand above the market, because 001 §9 puts technical review *inside* the supermarket: a review is
commissioned, started and ended as a service, and its report is a deliverable.
"""
