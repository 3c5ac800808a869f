"""What crosses a process: messages, ids, names and the signatures of activities."""
