"""What models cost on this machine: time and memory beside plain ways of computing the same, and the machine's own peaks."""
