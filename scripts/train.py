"""The command line from a checkout: `python scripts/train.py fit --config iterative.yaml`."""

from vitprune.start import main

if __name__ == "__main__":
    main()
