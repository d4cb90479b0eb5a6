"""What the numbers mean: the judgement of this VM, and the last hour that it rests on."""
