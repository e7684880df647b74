#!/usr/bin/env bash
# Makes nudged's topics as docs/guarantees.md asks for; topics that exist are left as they are.
#
#   BOOTSTRAP       host:port of a broker (default 127.0.0.1:9092)
#   COMMAND_CONFIG  properties file of a client that may make topics (default: none)
#   PARTITIONS      of each (default 12); partition p of the events is written to p of sends and decisions
#   REPLICATION     replicas of each partition (default 3)
#   RETENTION_DAYS  longer than the longest wait of a rule, so that a lost Redis can be rebuilt (default 30)
#   EVENTS SENDS DECISIONS DEAD_LETTERS   names (default events sends decisions dead-letters)
#   KAFKA_BIN       folder of kafka-topics.sh (default: found in PATH, else /opt/kafka/bin)
set -euo pipefail
: "${BOOTSTRAP:=127.0.0.1:9092}" "${COMMAND_CONFIG:=}" "${PARTITIONS:=12}" "${REPLICATION:=3}" "${RETENTION_DAYS:=30}"
: "${EVENTS:=events}" "${SENDS:=sends}" "${DECISIONS:=decisions}" "${DEAD_LETTERS:=dead-letters}"

topics=kafka-topics.sh
command -v "$topics" >/dev/null || topics=${KAFKA_BIN:-/opt/kafka/bin}/kafka-topics.sh

# A write counts once a second replica has it, where there are three.
in_sync=1
((REPLICATION < 3)) || in_sync=2

for name in "$EVENTS" "$SENDS" "$DECISIONS" "$DEAD_LETTERS"; do
  "$topics" --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
    --create --if-not-exists --topic "$name" --partitions "$PARTITIONS" --replication-factor "$REPLICATION" \
    --config cleanup.policy=delete --config "retention.ms=$((RETENTION_DAYS * 86400000))" \
    --config "min.insync.replicas=$in_sync" --config unclean.leader.election.enable=false
done
