"""Every plot: functions that return a figure, readable in greyscale; the caller saves it."""
