# shellcheck shell=bash
# Processes and ports: starting a service that outlives the shell, and stopping exactly what was started.
# Sourced by the scripts of this folder.

say() { printf 'nudged services: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# start_time PID: when this process began, in a form that differs between two processes that had the same
# pid one after the other. Empty if there is no such process. A zombie counts as none: where nobody reaps
# orphans it would stay for ever.
start_time() {
  local stat
  if [[ -d /proc/self ]]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # The command's name, in parentheses, may itself hold blanks and parentheses: count from the last one.
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} == Z ]] || printf '%s' "${stat[19]}"
  else
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' '_'
  fi
}

# alive PID START: is the process that had this pid at START still running?
alive() {
  [[ -n ${1:-} && -n ${2:-} && "$(start_time "$1")" == "$2" ]]
}

# wait_until SECONDS COMMAND...: repeats COMMAND until it succeeds; fails when the time is up.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.1
  done
}

# detach LOG COMMAND...: starts COMMAND in a session of its own, without standard input, its output in LOG.
# Sets DETACHED_PID and DETACHED_START. The command inherits no other open file: a lock or a pipe of the
# caller that stayed open in it would keep the caller's caller waiting.
detach() {
  local log=$1
  shift
  (
    exec </dev/null >"$log" 2>&1
    for fd in 3 4 5 6 7 8 9 /proc/"$BASHPID"/fd/*; do
      fd=${fd##*/}
      # 255 is bash's own handle of this script, closed by the exec below anyway.
      [[ $fd =~ ^[0-9]+$ ]] && ((fd > 2 && fd != 255)) && eval "exec $fd>&-"
    done
    if command -v setsid >/dev/null; then exec setsid nohup "$@"; fi
    exec nohup "$@"
  ) &
  DETACHED_PID=$!
  DETACHED_START=$(start_time "$DETACHED_PID")
  disown "$DETACHED_PID" 2>/dev/null || true
}

# stop_process NAME PID START: asks it to end, waits 15 s, then makes it end.
stop_process() {
  alive "$2" "$3" || return 0
  kill -TERM "$2" 2>/dev/null || true
  wait_until 15 gone "$2" "$3" && return 0
  say "$1 (pid $2) has not ended 15 s after it was asked to; killing it"
  kill -KILL "$2" 2>/dev/null || true
  wait_until 15 gone "$2" "$3" || die "$1 (pid $2) cannot be killed; look at it with: cat /proc/$2/status"
}

gone() { ! alive "$@"; }

# listening PORT: does anything accept connections on 127.0.0.1:PORT?
listening() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port: prints a port nothing listens on. Below the range that outgoing connections take theirs from
# (32768 and up on Linux), so that none of those can take it before the service binds it.
free_port() {
  local port try
  for ((try = 0; try < 100; try++)); do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
    listening "$port" || {
      printf '%s' "$port"
      return 0
    }
  done
  die "no free port found between 20000 and 32000 on 127.0.0.1"
}

# has_bind_error LOG: did the service end because somebody else took its port first?
has_bind_error() {
  grep -qiE 'address already in use|failed to bind|could not create server tcp listening socket' "$1"
}

# apt_install PACKAGE...: installs with apt-get, as root or by sudo without a password.
apt_install() {
  local as_root=()
  command -v apt-get >/dev/null ||
    die "needed and not found: $*. This machine has no apt-get; install it by hand, then try again"
  if ((EUID != 0)); then
    sudo -n true 2>/dev/null ||
      die "needed and not found: $*. Install with: sudo apt-get install $*"
    as_root=(sudo -n)
  fi
  say "installing $* with apt-get"
  # ${a[@]+...}: an empty array counts as unset under `set -u` in bash before 4.4.
  ${as_root[@]+"${as_root[@]}"} apt-get -qq update >&2 &&
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive \
      apt-get -qq -y --no-install-recommends install "$@" >&2 ||
    die "apt-get could not install $*; its messages are above"
}

# unpack_packages FOLDER ARGUMENT...: lets apt-get fetch packages into its present folder, with package lists of its own
# (the machine's may be old, and only root may renew them), and unpacks them into FOLDER/root. Nothing is installed: no
# root is needed and no system service starts. The last argument is the package that is told of.
unpack_packages() {
  local folder=$1 package=${!#} work deb
  shift
  say "fetching $package from the distribution's packages"
  mkdir -p "${folder%/*}"
  work=$(mktemp -d "$folder.XXXXXX")
  mkdir -p "$work/lists/partial" "$work/apt/archives/partial" "$work/root"
  local apt=(apt-get -qq -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/apt"
    -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 -o Acquire::Languages=none)
  if ! { "${apt[@]}" update && cd "$work/apt/archives" && "${apt[@]}" "$@" && cd "$OLDPWD"; } >"$work/log" 2>&1; then
    cat "$work/log" >&2
    rm -rf "$work"
    die "apt-get could not fetch $package; its messages are above. Install it by hand, then try again"
  fi
  for deb in "$work"/apt/archives/*.deb; do
    # The C library must stay the one that the machine's own loader belongs to.
    [[ ${deb##*/} == libc6_* ]] || dpkg-deb -x "$deb" "$work/root"
  done
  rm -rf "$folder"
  mkdir "$folder"
  mv "$work/root" "$folder/root"
  rm -rf "$work"
}
