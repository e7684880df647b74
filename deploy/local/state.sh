# shellcheck shell=bash
# What is remembered between `up` and `down`. Sourced by the scripts of this folder.

# SERVICES_DIR: the folder of one set of services. Sets in different folders know nothing of each other.
SERVICES_DIR=${NUDGED_SERVICES_DIR:-$HERE/.run}
mkdir -p "$SERVICES_DIR"
SERVICES_DIR=$(cd "$SERVICES_DIR" && pwd)

# STATE: lines KEY=VALUE, nothing quoted; the value goes to the line's end.
STATE=$SERVICES_DIR/services.env

forget() {
  ENGINE='' DATA_DIR='' COMPOSE_PROJECT='' REDIS_SERVER=''
  KAFKA_PORT='' KAFKA_PID='' KAFKA_START='' KAFKA_LOG=$SERVICES_DIR/kafka.log
  REDIS_PORT='' REDIS_PID='' REDIS_START='' REDIS_LOG=$SERVICES_DIR/redis.log
}
forget

# save_state [ready]: writes down what is known so far, in one step. Before it is all ready the file has
# another name: so nobody takes a half-started set for one, and `down` still finds what to stop.
save_state() {
  local file=$STATE.starting
  cat >"$file" <<ENV
NUDGED_TEST_KAFKA=127.0.0.1:$KAFKA_PORT
NUDGED_TEST_REDIS=127.0.0.1:$REDIS_PORT
ENGINE=$ENGINE
KAFKA_PID=$KAFKA_PID
KAFKA_START=$KAFKA_START
KAFKA_LOG=$KAFKA_LOG
REDIS_PID=$REDIS_PID
REDIS_START=$REDIS_START
REDIS_LOG=$REDIS_LOG
REDIS_SERVER=$REDIS_SERVER
DATA_DIR=$DATA_DIR
COMPOSE_PROJECT=$COMPOSE_PROJECT
ENV
  if [[ ${1:-} == ready ]]; then mv "$file" "$STATE"; fi
}

# load_state: reads it back; fails if there is nothing.
load_state() {
  local file key value
  for file in "$STATE.starting" "$STATE"; do
    [[ -f $file ]] || continue
    while IFS='=' read -r key value; do
      case $key in
        NUDGED_TEST_KAFKA) KAFKA_PORT=${value##*:} ;;
        NUDGED_TEST_REDIS) REDIS_PORT=${value##*:} ;;
        ENGINE | KAFKA_PID | KAFKA_START | KAFKA_LOG | REDIS_PID | REDIS_START | REDIS_LOG | REDIS_SERVER | DATA_DIR | COMPOSE_PROJECT)
          printf -v "$key" '%s' "$value"
          ;;
      esac
    done <"$file"
    return 0
  done
  return 1
}

# lock FD FILE: waits until nobody else holds FILE; held until FD is closed or this script ends. A machine
# without flock goes on without.
lock() {
  eval "exec $1>\"\$2\""
  ! command -v flock >/dev/null || flock "$1"
}

# stop_all: ends what the loaded state names and forgets it.
stop_all() {
  if [[ -n $COMPOSE_PROJECT ]]; then
    docker_down
  else
    # Both are asked first and waited for afterwards.
    local name pid start
    for name in KAFKA REDIS; do
      pid=${name}_PID start=${name}_START
      if alive "${!pid}" "${!start}"; then kill -TERM "${!pid}" 2>/dev/null || true; fi
    done
    stop_process Kafka "$KAFKA_PID" "$KAFKA_START"
    stop_process Redis "$REDIS_PID" "$REDIS_START"
  fi
  # The mark was put there by `up`: nothing else is ever deleted.
  if [[ -n $DATA_DIR && -f $DATA_DIR/.nudged-services ]]; then rm -rf "$DATA_DIR"; fi
  rm -f "$STATE" "$STATE.starting"
}
