"""The methods that are compared, one file each; their names are generated from their settings."""
