#!/usr/bin/env bash
# Gives nudged, those who produce events and those who read commands the rights they need, and no more. The table in
# docs/deployment.md says what each is for. Running it again changes nothing.
#
#   BOOTSTRAP       host:port of a broker (default 127.0.0.1:9092)
#   COMMAND_CONFIG  properties file of a client that may change ACLs (default: none)
#   NUDGED          principal of `nudged run`, explain and doctor (default User:nudged)
#   DOCTOR          principal that may see the settings of topics and brokers besides, so that `nudged doctor` can
#                   judge them (default that of NUDGED; empty: nobody, doctor says what it may not see)
#   PRODUCER        principal of the apps that produce events (default User:events)
#   SENDER          principal of the service that reads commands (default User:sender)
#   ERASER          principal of `nudged forget` (default: none)
#   SENDER_GROUP    its consumer group (default sender)
#   GROUP           nudged's kafka.group (default nudged)
#   EVENTS SENDS DECISIONS DEAD_LETTERS   names (default events sends decisions dead-letters)
#   KAFKA_BIN       folder of kafka-acls.sh (default: found in PATH, else /opt/kafka/bin)
set -euo pipefail
: "${BOOTSTRAP:=127.0.0.1:9092}" "${COMMAND_CONFIG:=}" "${GROUP:=nudged}" "${SENDER_GROUP:=sender}"
: "${NUDGED:=User:nudged}" "${PRODUCER:=User:events}" "${SENDER:=User:sender}" "${ERASER:=}"
: "${DOCTOR=$NUDGED}"
: "${EVENTS:=events}" "${SENDS:=sends}" "${DECISIONS:=decisions}" "${DEAD_LETTERS:=dead-letters}"

acls=kafka-acls.sh
command -v "$acls" >/dev/null || acls=${KAFKA_BIN:-/opt/kafka/bin}/kafka-acls.sh

# allow PRINCIPAL RESOURCE... OPERATION...: each as kafka-acls.sh takes it.
allow() {
  local principal=$1
  shift
  "$acls" --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \
    --add --allow-principal "$principal" "$@"
}

allow "$NUDGED" --topic "$EVENTS" --operation Read
# It reads what it wrote: at a take-over, to see what is out already.
allow "$NUDGED" --topic "$SENDS" --topic "$DECISIONS" --operation Write --operation Read
allow "$NUDGED" --topic "$DEAD_LETTERS" --operation Write
allow "$NUDGED" --group "$GROUP" --operation Read
# Each process has a transactional id of its own that begins with the group's name and a dash.
allow "$NUDGED" --transactional-id "$GROUP-" --resource-pattern-type prefixed --operation Write --operation Describe

if [[ -n $DOCTOR ]]; then
  allow "$DOCTOR" --topic "$EVENTS" --topic "$SENDS" --topic "$DECISIONS" --topic "$DEAD_LETTERS" \
    --topic __consumer_offsets --topic __transaction_state --operation Describe --operation DescribeConfigs
  allow "$DOCTOR" --cluster --operation DescribeConfigs
fi

allow "$PRODUCER" --topic "$EVENTS" --operation Write
allow "$SENDER" --topic "$SENDS" --operation Read
allow "$SENDER" --group "$SENDER_GROUP" --operation Read

if [[ -n $ERASER ]]; then
  allow "$ERASER" --topic "$EVENTS" --operation Write
  allow "$ERASER" --topic "$DECISIONS" --operation Read
  allow "$ERASER" --topic "$SENDS" --topic "$DECISIONS" --topic "$DEAD_LETTERS" --operation Describe --operation DescribeConfigs
  allow "$ERASER" --group "$GROUP" --operation Describe
fi
