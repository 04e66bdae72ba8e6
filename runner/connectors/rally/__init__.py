"""Rally: tasks and work items in step."""
