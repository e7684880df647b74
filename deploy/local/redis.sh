# shellcheck shell=bash
# One real Redis, 7.0 or newer, on 127.0.0.1. Sourced by `up`.

# redis_server: sets REDIS_SERVER to a program to run: the machine's own, else one taken out of the
# distribution's packages into the cache. Those are unpacked, not installed: so no root is needed and no
# system service starts.
redis_server() {
  REDIS_SERVER=$(command -v redis-server || true)
  if [[ -n $REDIS_SERVER ]]; then
    redis_new_enough "$REDIS_SERVER" && return 0
    say "$REDIS_SERVER is older than Redis 7.0 (or does not run); looking for another"
  fi
  REDIS_SERVER=$CACHE/redis/redis-server
  redis_new_enough "$REDIS_SERVER" && return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "redis-server 7.0 or newer is needed and not found, and this machine has no apt-get to get it with; install Redis, then try again"
  redis_unpack
  redis_new_enough "$REDIS_SERVER" ||
    die "the distribution's redis-server does not run or is older than 7.0: $("$REDIS_SERVER" --version 2>&1 || true); install Redis 7.0 or newer, then try again"
}

redis_new_enough() {
  local version
  [[ -x $1 ]] && version=$("$1" --version 2>/dev/null) || return 1
  [[ $version =~ v=([0-9]+)\. ]] && ((BASH_REMATCH[1] >= 7))
}

# redis_unpack: fetches redis-server and those of its libraries that are not installed.
redis_unpack() {
  local libraries
  unpack_packages "$CACHE/redis" -y --no-install-recommends --download-only install redis-server
  libraries=$(find "$CACHE/redis/root" -name '*.so*' -exec dirname {} \; | sort -u | paste -sd: -)
  printf '#!/usr/bin/env bash\nLD_LIBRARY_PATH=%q exec %q "$@"\n' \
    "$libraries" "$CACHE/redis/root/usr/bin/redis-server" >"$REDIS_SERVER"
  chmod +x "$REDIS_SERVER"
}

# redis_start: starts Redis and waits until it answers; exits if it does not. Sets REDIS_PORT, REDIS_PID, REDIS_START.
redis_start() {
  local try
  for try in 1 2 3; do
    REDIS_PORT=$(free_port)
    mkdir -p "$DATA_DIR/redis"
    redis_configuration >"$DATA_DIR/redis.conf"
    detach "$REDIS_LOG" "$REDIS_SERVER" "$DATA_DIR/redis.conf"
    REDIS_PID=$DETACHED_PID REDIS_START=$DETACHED_START
    save_state
    wait_until 60 redis_settled || true
    redis_is_ours && return 0
    has_bind_error "$REDIS_LOG" || break
  done
  say "the end of Redis' log:"
  tail -n 30 "$REDIS_LOG" >&2
  die "Redis did not come up within 60 s; its log is above and in $REDIS_LOG"
}

redis_settled() { redis_is_ours || gone "$REDIS_PID" "$REDIS_START"; }

# The settings are those that nudged recommends, and its tests shall meet: states survive a restart, nothing
# is evicted, and the many small hashes of user states stay listpacks, which take half the memory.
redis_configuration() {
  cat <<CONF
bind 127.0.0.1
port $REDIS_PORT
dir "$DATA_DIR/redis"
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
hash-max-listpack-entries 128
hash-max-listpack-value 512
CONF
}

# redis_ask PORT COMMAND: sends one inline command and prints the lines of its reply. A PING behind it marks
# the reply's end; fails when no PONG comes.
redis_ask() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf '%s\r\nPING\r\n' "$2" >&3
    while IFS= read -r -t 5 line <&3; do
      line=${line%$'\r'}
      [[ $line != +PONG ]] || exit 0
      printf '%s\n' "$line"
    done
    exit 1
  ) 2>/dev/null
}

redis_answers() { redis_ask "$1" "INFO server" >/dev/null; }

# redis_is_ours: does the Redis that was started answer, and not another that got hold of the port?
redis_is_ours() {
  local answer
  alive "$REDIS_PID" "$REDIS_START" && answer=$(redis_ask "$REDIS_PORT" "INFO server") &&
    [[ $'\n'$answer$'\n' == *$'\n'"process_id:$REDIS_PID"$'\n'* ]]
}

# redis_was_used PORT: has anybody written to it since it started?
redis_was_used() {
  local answer
  answer=$(redis_ask "$1" "INFO commandstats") &&
    [[ $answer =~ cmdstat_(eval|evalsha|hset|set|mset|exec|rpush|sadd|zadd): ]]
}
