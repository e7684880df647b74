# shellcheck shell=bash
# A real Prometheus and promtool, which the checks of alerts and dashboard run. Sourced by `test`.

# prometheus_programs: sets PROMETHEUS_BIN to a folder that holds both: the machine's own, else taken out of the
# distribution's package into the cache.
prometheus_programs() {
  local found
  found=$(command -v promtool || true)
  if [[ -n $found && -x ${found%/*}/prometheus ]]; then
    PROMETHEUS_BIN=${found%/*}
    return 0
  fi
  PROMETHEUS_BIN=$CACHE/prometheus/root/usr/bin
  [[ ! -x $PROMETHEUS_BIN/promtool ]] || return 0
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "prometheus and promtool are needed and not found, and this machine has no apt-get to get them with"
  # The package alone: of what it depends on, the programs use the C library.
  unpack_packages "$CACHE/prometheus" download prometheus
  "$PROMETHEUS_BIN/promtool" --version >/dev/null 2>&1 || die "the distribution's promtool does not run"
}
