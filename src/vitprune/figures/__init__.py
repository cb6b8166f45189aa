"""Every plot. Each function returns a figure; its caller saves it. All are readable in greyscale."""
