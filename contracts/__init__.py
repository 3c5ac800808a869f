"""What crosses a process: messages, ids, names, signatures of activities, shared statements."""
