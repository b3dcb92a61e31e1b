"""What operators see: logs, status, health."""
