"""What others can know: Prometheus metrics, and verdicts as OpenTelemetry events."""
