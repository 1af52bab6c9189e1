"""What measures a graph: requests, the clients that make them, and the figures of what came."""
