"""The command line from a checkout: `python scripts/train.py fit --config iterative.yaml`."""

from vitprune.__main__ import main

if __name__ == "__main__":
    main()
