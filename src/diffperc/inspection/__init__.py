"""Looking a data set through before anything is trained on it."""
