"""pirctl: put new speech on a speaker's lips, in the original shot."""

__version__ = "0.1.0"
