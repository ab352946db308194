"""The messages in queues and topics: walking them, and showing what they say."""
