"""Kafka and nothing else: topics, a producer that keeps order, a consumer that can be rewound."""

from functools import partial

import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest

# By itself the library lets a broker make each topic that it merely asks about, with as many
# partitions as that broker likes: after a wipe, whoever asked first would spoil the topic for
# `ensure_topics`. There is no setting for it.
aiokafka.client.MetadataRequest = partial(  # type: ignore[assignment, attr-defined]
    MetadataRequest, allow_auto_topic_creation=False
)
