import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before any library reads it: no test needs a hub
