# shellcheck shell=bash
# The same two services in containers (compose.yml). Sourced by `up` and `down`.

# docker_usable: does a container engine answer, and is compose there?
docker_usable() {
  command -v docker >/dev/null || return 1
  local bounded=()
  ! command -v timeout >/dev/null || bounded=(timeout 20)
  ${bounded[@]+"${bounded[@]}"} docker info >/dev/null 2>&1 && compose_command
}

# compose_command: sets COMPOSE to the compose that is installed.
compose_command() {
  COMPOSE=(docker compose)
  "${COMPOSE[@]}" version >/dev/null 2>&1 && return 0
  COMPOSE=(docker-compose)
  "${COMPOSE[@]}" version >/dev/null 2>&1
}

# compose ARGUMENT...: runs compose for this set of services.
compose() {
  KAFKA_PORT=$KAFKA_PORT REDIS_PORT=$REDIS_PORT KAFKA_HEAP=$KAFKA_HEAP \
    "${COMPOSE[@]}" -p "$COMPOSE_PROJECT" -f "$HERE/compose.yml" "$@"
}

# docker_start: starts both containers and waits until they answer; fails if they do not. The pids are those on this machine
# (on a machine whose engine runs in a virtual machine: that one's).
docker_start() {
  local try
  ENGINE=docker
  for try in 1 2 3; do
    KAFKA_PORT=$(free_port)
    REDIS_PORT=$(free_port)
    ((REDIS_PORT != KAFKA_PORT)) || REDIS_PORT=$((KAFKA_PORT + 1))
    COMPOSE_PROJECT=nudged-$KAFKA_PORT
    save_state
    if compose up --detach --wait --wait-timeout 60 >"$KAFKA_LOG" 2>&1 &&
      wait_until 60 docker_answers; then
      KAFKA_PID=$(docker_pid kafka)
      REDIS_PID=$(docker_pid redis)
      return 0
    fi
    compose logs --tail 40 >>"$KAFKA_LOG" 2>&1 || true
    docker_down
    has_bind_error "$KAFKA_LOG" || grep -qi 'port is already allocated' "$KAFKA_LOG" || break
  done
  say "the containers did not come up; the end of what compose said:"
  tail -n 60 "$KAFKA_LOG" >&2
  return 1
}

docker_answers() { kafka_answers "$KAFKA_PORT" && redis_answers "$REDIS_PORT"; }

docker_pid() { docker inspect --format '{{.State.Pid}}' "$(compose ps --quiet "$1")"; }

docker_down() {
  [[ -n ${COMPOSE[*]:-} ]] || compose_command || die "the services run in containers (project $COMPOSE_PROJECT), but docker compose is gone; bring it back, then try again"
  compose down --volumes --timeout 10 >/dev/null 2>&1 ||
    die "could not stop the containers; see: docker ps --filter label=com.docker.compose.project=$COMPOSE_PROJECT"
  COMPOSE_PROJECT=
}
