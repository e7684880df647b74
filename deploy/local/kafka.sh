# shellcheck shell=bash
# One real Kafka broker, its own controller (KRaft), on 127.0.0.1. Sourced by `up`.

# kafka_jars: sets JAVA and KAFKA_JARS (a folder), after fetching or installing what is missing.
kafka_jars() {
  java_17
  # The folder's name holds the pom's checksum: an edit there fetches anew.
  KAFKA_JARS=$CACHE/kafka-$(cksum <"$HERE/pom.xml" | tr ' ' '-')
  [[ ! -d $KAFKA_JARS ]] || return 0
  command -v mvn >/dev/null || apt_install maven

  local work
  say "fetching Kafka with Maven (43 MB)"
  work=$(mktemp -d "$CACHE/kafka.XXXXXX")
  if ! mvn -q -B -Dmaven.wagon.http.retryHandler.count=3 -f "$HERE/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$work/jars" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    die "Maven could not fetch Kafka; its messages are above. It needs its central repository, or a mirror named in ~/.m2/settings.xml"
  fi
  mv "$work/jars" "$KAFKA_JARS"
  rm -rf "$work"
}

# java_17: sets JAVA to a Java 17 or newer, which Kafka 4 needs.
java_17() {
  JAVA=${JAVA_HOME:+$JAVA_HOME/bin/}java
  java_new_enough && return 0
  JAVA=java
  java_new_enough && return 0
  apt_install "$(java_package)"
  java_new_enough || die "Java 17 or newer is needed; found: $(java -version 2>&1 | head -n 1). Install one, or set JAVA_HOME, then try again"
}

java_new_enough() {
  local version
  version=$("$JAVA" -version 2>&1) || return 1
  [[ $version =~ version\ \"([0-9]+) ]] && ((BASH_REMATCH[1] >= 17))
}

# java_package: the oldest Java without a display that will do, of those the distribution has.
java_package() {
  local version
  for version in 17 21 25; do
    if [[ -n $(apt-cache madison "openjdk-$version-jre-headless" 2>/dev/null) ]]; then
      printf 'openjdk-%s-jre-headless' "$version"
      return 0
    fi
  done
  printf 'default-jre-headless'
}

# kafka_start: formats a fresh data folder, starts the broker and waits until it serves; exits if it does
# not. Sets KAFKA_PORT, KAFKA_PID, KAFKA_START.
kafka_start() {
  local try controller_port
  # Made for two cores that the broker shares with the tests: one collector thread costs the least
  # processor time, and 512 MB is what the broker needs.
  local java=("$JAVA" -server "-Xms$KAFKA_HEAP" "-Xmx$KAFKA_HEAP" -XX:+UseSerialGC -XX:-UsePerfData
    -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true
    -Dlog4j2.configurationFile="$HERE/log4j2.xml" -Dlog4j2.disableJmx=true -cp "$KAFKA_JARS/*")
  for try in 1 2 3; do
    KAFKA_PORT=$(free_port)
    controller_port=$(free_port)
    ((controller_port != KAFKA_PORT)) || controller_port=$((KAFKA_PORT + 1))
    rm -rf "$DATA_DIR/kafka"
    kafka_configuration "$controller_port" >"$DATA_DIR/kafka.properties"
    # -XX:TieredStopAtLevel=1: formatting ends before better compiled code would pay.
    "${java[@]}" -XX:TieredStopAtLevel=1 kafka.tools.StorageTool format \
      --cluster-id "$(cluster_id)" --config "$DATA_DIR/kafka.properties" >"$KAFKA_LOG" 2>&1 || break
    detach "$KAFKA_LOG" "${java[@]}" kafka.Kafka "$DATA_DIR/kafka.properties"
    KAFKA_PID=$DETACHED_PID KAFKA_START=$DETACHED_START
    save_state
    wait_until 60 kafka_settled || true
    kafka_is_ours && return 0
    has_bind_error "$KAFKA_LOG" || break
    stop_process Kafka "$KAFKA_PID" "$KAFKA_START"
  done
  say "the end of Kafka's log:"
  tail -n 40 "$KAFKA_LOG" >&2
  die "Kafka did not come up within 60 s; its log is above and in $KAFKA_LOG"
}

kafka_settled() { kafka_is_ours || gone "$KAFKA_PID" "$KAFKA_START"; }

# kafka_is_ours: does the broker that was started serve, and not another that got hold of the port?
kafka_is_ours() {
  alive "$KAFKA_PID" "$KAFKA_START" && grep -q 'Kafka Server started' "$KAFKA_LOG" && kafka_answers "$KAFKA_PORT"
}

# cluster_id: 16 random bytes as Kafka writes them; the first one is such that the text begins with no dash.
cluster_id() {
  { printf N; head -c 15 /dev/urandom; } | base64 | tr '+/' '-_' | tr -d '='
}

# One broker holds every replica. Few partitions of the internal topics: they are made on first use, and the
# tests wait for that. Short sessions and quick aborts: so that a test need not wait long until the broker
# has noticed that a process was killed.
kafka_configuration() {
  cat <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$1
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$1
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$DATA_DIR/kafka
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=8
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=16777216
CONF
  [[ -z ${NUDGED_KAFKA_SASL_PORT:-} ]] || kafka_secured "$1"
}

# kafka_secured: a second way in, by password and with what ACLs allow. Who comes the first way may do everything, and
# so can make users and ACLs. A later line of the configuration wins.
kafka_secured() {
  cat <<CONF
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL_PLAINTEXT://127.0.0.1:$NUDGED_KAFKA_SASL_PORT,CONTROLLER://127.0.0.1:$1
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,SASL_PLAINTEXT://127.0.0.1:$NUDGED_KAFKA_SASL_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
CONF
}

# kafka_answers PORT: asks the broker for the API versions it speaks (key 18, version 0, correlation id 1, no
# client id) and looks at the answer's correlation id and error code.
kafka_answers() {
  (
    LC_ALL=C
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf '\0\0\0\012\0\022\0\0\0\0\0\001\377\377' >&3
    answer=
    for ((i = 0; i < 10; i++)); do
      # Byte by byte with NUL as the end mark: a NUL arrives as an empty text.
      IFS= read -r -t 5 -d '' -n 1 byte <&3 || exit 1
      ((i < 4)) || answer+=$(printf '%02x' "'$byte")
    done
    [[ $answer == 000000010000 ]]
  ) 2>/dev/null
}

# kafka_was_used DATA_DIR: has anybody made a topic on the broker that keeps its data there? The topics of
# offsets and transactions, made on first use, stay when a test deletes its own.
kafka_was_used() {
  local topic
  for topic in "$1"/kafka/*-[0-9]*; do
    [[ -d $topic && $topic != */__cluster_metadata-0 ]] && return 0
  done
  return 1
}
