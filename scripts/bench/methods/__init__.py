"""Every criterion on the bundled digits, at one learning rate."""
