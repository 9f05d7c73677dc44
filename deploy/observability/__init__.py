"""What shows how Rookery is doing: Prometheus, its alerts, Grafana's dashboards, and traces."""
