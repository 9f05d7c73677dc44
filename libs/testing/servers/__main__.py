"""`python -m libs.testing.servers`: fetch Apache Kafka for `make test-kafka`, once."""

import sys

from libs.testing.servers import ServerError, kafka_dist


def main() -> int:
    """Fetch Kafka's jar files when Java and Maven are here; say what else would do when not."""
    try:
        if kafka_dist.jars() is None and not kafka_dist.can_fetch():
            print("Java and Maven are not here: Apache Kafka will be run in Docker.")
        else:
            print(f"Apache Kafka {kafka_dist.VERSION}: {kafka_dist.fetch()}")
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
