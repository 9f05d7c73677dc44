"""Kafka and nothing else: topics, a producer that keeps order, a consumer that can be rewound."""
