"""What ``fuse`` does between its arguments and the core: stacks, colour, compiled programs, memory, streams."""
