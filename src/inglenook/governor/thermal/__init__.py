"""Heat: forecast, effort, and pauses."""
