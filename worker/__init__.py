"""The worker: wires workflows and activities to a task queue."""
