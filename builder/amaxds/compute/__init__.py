"""Arrays: networks as compiled programs, their weights, and the machine that they run on."""
