package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func noEnv(string) (string, bool) { return "", false }

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nudged.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	if _, err := Load("", noEnv); err != nil {
		t.Fatal(err)
	}
}

// The example of the documentation, addresses inside of braces included.
func TestFile(t *testing.T) {
	c, err := Load(file(t, `
kafka:
  brokers: [127.0.0.1:9092, "[::1]:9093"]
  group: shop
  topics: {events: [clicks, orders], sends: s, decisions: d, dead_letters: x}
redis: {addrs: [127.0.0.1:6379], mode: single}
rules: ./rules
clock: event
commit_interval: 1m
max_ahead: 1d12h
sinks: [{kafka: {}}, {stdout: {}}]
input:
  fields: {user: user_id, id: ""}
http: {addr: 127.0.0.1:8081}
`), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Kafka.Brokers, []Address{"127.0.0.1:9092", "[::1]:9093"}) || !slices.Equal(c.Redis.Addrs, []Address{"127.0.0.1:6379"}) {
		t.Errorf("brokers %q, redis %q", c.Kafka.Brokers, c.Redis.Addrs)
	}
	if c.Kafka.Group != "shop" || !slices.Equal(c.Kafka.Topics.Events, []string{"clicks", "orders"}) || c.Kafka.SessionTimeout != Duration(15*time.Second) {
		t.Errorf("kafka %+v", c.Kafka)
	}
	if time.Duration(c.CommitInterval) != time.Minute || time.Duration(c.MaxAhead) != 36*time.Hour {
		t.Errorf("commit_interval %v, max_ahead %v", c.CommitInterval, c.MaxAhead)
	}
	if c.Input.Fields.User != "user_id" || c.Input.Fields.ID == nil || *c.Input.Fields.ID != "" {
		t.Errorf("input %+v", c.Input)
	}
	if len(c.Sinks) != 2 || c.Sinks[1].Stdout == nil || c.HTTP.Addr != "127.0.0.1:8081" {
		t.Errorf("sinks %+v, http %+v", c.Sinks, c.HTTP)
	}
}

func TestEnvironmentWinsOverFile(t *testing.T) {
	c, err := Load(file(t, "kafka: {group: shop}\nclock: event\n"), env(map[string]string{
		"NUDGED_KAFKA_BROKERS":         "a:1, b:2",
		"NUDGED_KAFKA_GROUP":           "other",
		"NUDGED_KAFKA_TOPICS_EVENTS":   "clicks",
		"NUDGED_KAFKA_SESSION_TIMEOUT": "1m",
		"NUDGED_STOP_AT_END":           "true",
		"NUDGED_REDIS_DB":              "3",
		"NUDGED_ON_OFFSET_RESET":       "keep",
		"NUDGED_ACCEPT_STATE_LOSS":     "true",
		"NUDGED_MAX_EVENT_BYTES":       "4096",
		"NUDGED_SINKS":                 "[{stdout: {}}]",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Kafka.Brokers, []Address{"a:1", "b:2"}) || c.Kafka.Group != "other" || !slices.Equal(c.Kafka.Topics.Events, []string{"clicks"}) {
		t.Errorf("kafka %+v", c.Kafka)
	}
	if c.OnOffsetReset != "keep" || !c.AcceptStateLoss {
		t.Errorf("answers %q, %v", c.OnOffsetReset, c.AcceptStateLoss)
	}
	if !c.StopAtEnd || c.Redis.DB != 3 || c.MaxEventBytes != 4096 || time.Duration(c.Kafka.SessionTimeout) != time.Minute || len(c.Sinks) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestEverythingWrongIsReportedAtOnce(t *testing.T) {
	_, err := Load(file(t, `
kafka: {brokers: [nohost], group: "", topics: {events: [a], sends: a, decisions: "b c"}, session_timeout: 5s, transaction_timeout: 10s}
redis: {mode: sentinel, addrs: []}
clock: lunar
stop_at_end: true
on_offset_reset: guess
decisions: some
sinks: [{}]
input: {format: avro}
forward: {group: "", timeout: 1h, retry_for: 0s, max_wait: 1ms, per_host: 0, window: 0, dead_letters: a}
`), env(map[string]string{"NUDGED_REDIS_DB": "three", "NUDGED_COMMIT_INTERVAL": "5 parsecs"}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"kafka.brokers[0]", "kafka.group", `"a" is used twice`, `"b c" is not a name`, "transaction_timeout: 10s must be below",
		"redis.addrs: is empty", "redis.master", `clock: "lunar"`, "stop_at_end: needs clock: event", `decisions: "some"`, `on_offset_reset: "guess"`,
		"sinks[0]", `"avro"`, "forward.group", "forward.timeout: 1h0m0s", "forward.max_wait", "forward.per_host", "forward.window", "commands would go round", "NUDGED_REDIS_DB", "NUDGED_COMMIT_INTERVAL",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %q:\n%v", want, err)
		}
	}
}

func TestUnknownKeyNamesItsPlace(t *testing.T) {
	_, err := Load(file(t, "kafka:\n  grop: x\n"), noEnv)
	if err == nil || !strings.Contains(err.Error(), "grop") || !strings.Contains(err.Error(), ":2:3: ") {
		t.Errorf("error %v, want one that names grop at 2:3", err)
	}
}

func TestErrorsShowNoSecrets(t *testing.T) {
	for _, text := range []string{
		"redis: {password: hunter2}\nkafka:\n  grop: x\n",
		"redis: {password: hunter2, db: three}\n",
		"redis: {password: hunter2\n",
		"redis:\n  password: hunter2\n bad\n",
	} {
		_, err := Load(file(t, text), noEnv)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// A file in which every line is commented out is as good as none.
func TestEmptyFileLeavesDefaults(t *testing.T) {
	for _, text := range []string{"", "# kafka: {group: x}\n", "---\n", "{}\n", "null\n"} {
		c, err := Load(file(t, text), noEnv)
		if err != nil || !reflect.DeepEqual(c, Default()) {
			t.Errorf("%q: %v, %+v", text, err, c)
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	c := Default()
	c.Kafka.SASL = SASL{Mechanism: "PLAIN", Username: "u", Password: "hunter2"}
	c.Redis.Password, c.Redis.SentinelPassword = "hunter2", "hunter2"
	c.Forward.Secrets, c.Forward.Headers = []string{"hunter2", "hunter2"}, map[string]string{"Authorization": "hunter2"}
	c.Input.Registry.Password = "hunter2"
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "hunter2") || strings.Count(text, "(hidden)") != 7 {
		t.Errorf("printed:\n%s", text)
	}
	if c.Redis.Password != "hunter2" || c.Forward.Secrets[1] != "hunter2" || c.Forward.Headers["Authorization"] != "hunter2" {
		t.Error("printing has changed the configuration")
	}
	// What is printed can be read again.
	c.Input.Registry.Password = ""
	if text, err = Print(c); err != nil {
		t.Fatal(err)
	}
	back, err := Load(file(t, text), noEnv)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if back.Kafka.Group != c.Kafka.Group || back.CommitInterval != c.CommitInterval || !slices.Equal(back.Redis.Addrs, c.Redis.Addrs) {
		t.Errorf("read back %+v", back)
	}
}

func TestForwardReady(t *testing.T) {
	c := Default()
	if err := c.ForwardReady(); err == nil || !strings.Contains(err.Error(), "forward.url") || !strings.Contains(err.Error(), "forward.secrets") {
		t.Errorf("error %v", err)
	}
	c, err := Load("", env(map[string]string{
		"NUDGED_FORWARD_CHANNELS": "{push: 'http://127.0.0.1:1/push'}", "NUDGED_FORWARD_SECRETS": "whsec_a,whsec_b", "NUDGED_FORWARD_RETRY_FOR": "2d",
	}))
	if err != nil || c.ForwardReady() != nil || c.Forward.Channels["push"] != "http://127.0.0.1:1/push" || len(c.Forward.Secrets) != 2 || time.Duration(c.Forward.RetryFor) != 48*time.Hour {
		t.Errorf("%v, %v: %+v", err, c.ForwardReady(), c.Forward)
	}
}
