"""The queues that are measured, ours and others: each a module with ``run`` for a process of its own."""
