"""What travels between services and to Kafka's other users: topics, payloads, headers, dead letters."""
