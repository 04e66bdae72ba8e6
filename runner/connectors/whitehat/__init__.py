"""WhiteHat Sentinel: findings of a site or an application, asked for or from a file."""
