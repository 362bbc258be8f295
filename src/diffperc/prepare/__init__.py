"""From the official archives of a data set to the folder that its class reads."""
