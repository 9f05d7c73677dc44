"""The services. Each owns its tables and speaks to the others through Kafka topics only."""
