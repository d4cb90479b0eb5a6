"""What the numbers mean: where CPU time was lost, what changed, the verdict, and the last hour that it rests on."""
