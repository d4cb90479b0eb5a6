"""What is published: families of points, and the collector that makes them of the published state."""
