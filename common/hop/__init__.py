"""What every step of the chain does alike: call the next, take over, give to the queue."""
