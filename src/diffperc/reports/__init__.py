"""Tables and summaries of runs."""
