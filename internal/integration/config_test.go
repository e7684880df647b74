package integration

import (
	"strings"
	"testing"
)

func TestPrintConfigHidesSecrets(t *testing.T) {
	t.Parallel()
	config := writeFile(t, "nudged.yaml", `
kafka:
  group: shop
  sasl: {mechanism: SCRAM-SHA-512, username: alice, password: secret-of-kafka}
redis:
  mode: sentinel
  master: main
  username: bob
  password: secret-of-redis
  sentinel_password: secret-of-sentinel
commit_interval: 250ms
`)
	e := nudged(t, []string{"NUDGED_REDIS_PASSWORD=secret-of-environment", "NUDGED_MAX_AHEAD=90s"}, "run", "--config", config, "--print-config")
	e.requireSays(t, 0)
	if strings.Contains(e.stdout+e.stderr, "secret-of-") {
		t.Error("a secret is shown")
	}
	if n := strings.Count(e.stdout, "(hidden)"); n != 3 {
		t.Errorf("%d secrets are said to be hidden, want 3", n)
	}
	// From the file, from the environment, from neither.
	for _, part := range []string{"group: shop", "username: alice", "username: bob", "commit_interval: 250ms", "max_ahead: 1m30s", "session_timeout: 15s"} {
		if !strings.Contains(e.stdout, part) {
			t.Errorf("%q is not printed", part)
		}
	}
	if t.Failed() {
		t.Log(e.stdout)
	}

	// What is printed is a configuration again.
	again := nudged(t, nil, "run", "--config", writeFile(t, "printed.yaml", e.stdout), "--print-config")
	again.requireSays(t, 0)
	if again.stdout != e.stdout {
		t.Errorf("printed once:\n%s\nread and printed again:\n%s", e.stdout, again.stdout)
	}
}

func TestReportsEverythingWrongAtOnce(t *testing.T) {
	t.Parallel()
	config := writeFile(t, "nudged.yaml", `
kafka:
  brokers: [localhost]
  group: ""
  topics: {events: [a], sends: a, decisions: "no such/name", dead_letters: d}
  session_timeout: 5s
  transaction_timeout: 30s
redis: {mode: raft, addrs: []}
clock: sideways
decisions: some
http: {addr: nowhere}
log: {level: loud}
`)
	e := nudged(t, []string{"NUDGED_MAX_EVENT_BYTES=many", "NUDGED_COMMIT_INTERVAL=1 week"}, "run", "--config", config)
	e.requireSays(t, 2,
		`kafka.brokers[0]: "localhost" is not host:port`,
		"kafka.group: is empty",
		`"a" is used twice`,
		`"no such/name" is not a name that Kafka takes`,
		"kafka.transaction_timeout: 30s must be below session_timeout (5s)",
		`redis.mode: "raft" is not one of single, sentinel, cluster`,
		"redis.addrs: is empty",
		`clock: "sideways" is not one of wall, event`,
		`decisions: "some" is not one of fires, all, none`,
		`http.addr: "nowhere" is not host:port`,
		`log.level: "loud" is not one of debug, info, warn, error`,
		"environment variable NUDGED_MAX_EVENT_BYTES=",
		"environment variable NUDGED_COMMIT_INTERVAL=",
	)
}

// A key that does not exist, or a text that is no YAML, is shown where it is.
func TestReportsWhereAFileIsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, says string }{
		{"unknown key", "clock: wall\ncomit_interval: 1s\n", `unknown field "comit_interval"`},
		{"wrong type", "kafka: [1, 2]\n", "nudged.yaml:1:"},
		{"no YAML", "kafka: {group: a\n", "nudged.yaml:1:"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			config := writeFile(t, "nudged.yaml", tc.text)
			e := nudged(t, nil, "run", "--config", config)
			e.requireSays(t, 2, config, tc.says)
		})
	}
	e := nudged(t, nil, "run", "--config", "no/such/file.yaml")
	e.requireSays(t, 2, "no/such/file.yaml")
	e = nudged(t, nil, "run", "--stop-at-end")
	e.requireSays(t, 2, "stop_at_end: needs clock: event")
}
