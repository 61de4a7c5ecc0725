"""The console: what responders and approvers see in a browser."""
