"""What scanners share: findings, how they meet tasks, and the plan that comes of it."""
