"""The command line as `python -m vitprune`."""

from vitprune.start import main

if __name__ == "__main__":
    main()
