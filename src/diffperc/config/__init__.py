"""Finding, checking and explaining configurations. Imports Hydra, but torch only where a class must be looked at."""
