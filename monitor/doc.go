// Package monitor lets telemetry out: it owns the meter provider, the exporter behind
// /metrics and the measurement of HTTP requests. What is measured inside the service is
// decided where it happens; those packages receive a meter and know no exporter.
package monitor
