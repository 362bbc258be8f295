"""What predictors return, by task: arrays, confidence, pictures, files. Imports no torch, for exported models."""
