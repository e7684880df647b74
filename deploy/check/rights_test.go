package check

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// secured is a Kafka and a Redis of the test's own that let in by password, and
// allow what deploy/kafka/acls.sh and deploy/redis/users.acl say.
type secured struct {
	kafka string // with password
	open  string // without, may do everything
	redis string
}

const password = "a password"

// secure brings them up.
func secure(t *testing.T) *secured {
	t.Helper()
	services(t) // they can be had
	s := &secured{kafka: freeAddress(t)}
	_, port, _ := net.SplitHostPort(s.kafka)
	state := ownServices(t, "NUDGED_KAFKA_SASL_PORT="+port)
	s.open, s.redis = state["NUDGED_TEST_KAFKA"], state["NUDGED_TEST_REDIS"]
	s.kafkaRights(t)
	s.redisRights(t)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// kafkaRights runs the scripts with Kafka's own tools, and makes the users.
func (s *secured) kafkaRights(t *testing.T) {
	t.Helper()
	tools := t.TempDir()
	for _, tool := range []string{"acls", "topics"} {
		tool = fmt.Sprintf("#!/bin/sh\nexec %q %s \"$@\"\n", absolute(t, path("deploy/local/kafka-tool")), tool)
		name := "kafka-acls.sh"
		if strings.Contains(tool, " topics ") {
			name = "kafka-topics.sh"
		}
		if err := os.WriteFile(filepath.Join(tools, name), []byte(tool), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + tools + ":" + os.Getenv("PATH"), "BOOTSTRAP=" + s.open, "PARTITIONS=2", "REPLICATION=1"}
	output(t, env, "deploy/kafka/topics.sh")
	output(t, env, "deploy/kafka/topics.sh") // changes nothing
	output(t, append(env, "ERASER=User:eraser"), "deploy/kafka/acls.sh")
	adm := kadm.NewClient(s.client(t, ""))
	var users []kadm.UpsertSCRAM
	for _, user := range []string{"nudged", "events", "sender", "eraser", "nobody"} {
		users = append(users, kadm.UpsertSCRAM{User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password})
	}
	done, err := adm.AlterUserSCRAMs(t.Context(), nil, users)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	abs, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// redisRights carries the file out line by line, as Redis does when it starts.
func (s *secured) redisRights(t *testing.T) {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(password)))
	text := strings.NewReplacer("NUDGED_SHA256", sum, "ADMIN_SHA256", sum).Replace(read(t, "deploy/redis/users.acl"))
	cl := redis.NewClient(&redis.Options{Addr: s.redis})
	defer cl.Close()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	// The one who does this loses his rights last.
	for i := len(lines) - 1; i >= 0; i-- {
		args := []any{"ACL", "SETUSER"}
		for _, word := range strings.Fields(lines[i])[1:] {
			args = append(args, word)
		}
		if err := cl.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
	}
}

// client is one of Kafka's; without a user, one who may do everything.
func (s *secured) client(t *testing.T, user string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(s.open), kgo.RecordRetries(3))
	if user != "" {
		opts = append(opts, kgo.SeedBrokers(s.kafka), kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// nudged, the producer and the sender do their work with the rights that they
// are given, through two lives of the daemon.
func TestRightsAreEnough(t *testing.T) {
	s := secure(t)
	rules := write(t, "rules.yaml", `
rules:
  - name: seen
    on: seen
    wait: 1s
    send: {channel: push, class: transactional, template: t}
`)
	config := write(t, "nudged.yaml", fmt.Sprintf(`
kafka:
  brokers: [%q]
  sasl: {mechanism: SCRAM-SHA-512, username: nudged, password_file: %q}
redis: {addrs: [%q], username: nudged, password_file: %q}
rules: %q
log: {format: json}
http: {addr: ""}
`, s.kafka, write(t, "kafka-password", password), s.redis, write(t, "redis-password", password), rules))
	sender := s.client(t, "sender", kgo.ConsumerGroup("sender"), kgo.ConsumeTopics("sends"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	producer := s.client(t, "events")
	for life, kill := range []bool{true, false} {
		d := start(t, "run", "--config", config)
		now := time.Now().UTC().Format(time.RFC3339Nano)
		for user := range 5 {
			value := fmt.Sprintf(`{"id":"e%d-%d","type":"seen","user":"u%d","time":%q}`, life, user, user, now)
			if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Key: fmt.Append(nil, "u", user), Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatalf("the producer: %v", err)
			}
		}
		// A record that is no event goes to the dead letters.
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("?")}).FirstErr(); err != nil {
			t.Fatalf("the producer: %v", err)
		}
		d.until(t, sender, 5)
		// One of the users has something to erase, and nobody is denied what that takes.
		said := output(t, []string{"NUDGED_KAFKA_SASL_USERNAME=eraser"}, program, "forget", "--config", config, "--user", "u0")
		if !strings.Contains(said, "nothing of the user is left") {
			t.Errorf("nudged forget says %s", said)
		}
		if kill {
			_ = d.cmd.Process.Kill()
		} else {
			_ = d.cmd.Process.Signal(syscall.SIGTERM)
		}
		<-d.done
		if !kill && d.cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("the daemon ended with code %d", d.cmd.ProcessState.ExitCode())
		}
		for _, denied := range []string{"NOPERM", "NOAUTH", "AUTHORIZATION_FAILED", "uthorization"} {
			if strings.Contains(d.said(), denied) {
				t.Errorf("the daemon was denied something:\n%s", d.said())
				break
			}
		}
	}
	if err := sender.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Errorf("the sender: %v", err)
	}
	letters, err := kadm.NewClient(s.client(t, "")).ListEndOffsets(t.Context(), "dead-letters")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	letters.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total < 2 {
		t.Errorf("%d dead letters, want 2", total)
	}
	s.requireAsked(t, config)
	s.requireLeast(t)
}

// requireAsked runs, with the rights of nudged, the commands that only ask; and the
// doctor as somebody who has none, whom it tells all that is lacking.
func (s *secured) requireAsked(t *testing.T, config string) {
	t.Helper()
	if e := command(t, nil, program, "explain", "--config", config, "--user", "u1"); e.code != 0 || !strings.Contains(e.stdout, "seen") {
		t.Errorf("nudged explain ends with code %d:\n%s%s", e.code, e.stdout, e.stderr)
	}
	doctor := func(env ...string) (code int, of map[string][]string, all string) {
		e := command(t, env, program, "doctor", "--config", config, "--json")
		var report struct {
			Findings []struct{ Check, Subject, Status, Found string }
		}
		if err := json.Unmarshal([]byte(e.stdout), &report); err != nil {
			t.Fatalf("nudged doctor: %v\n%s%s", err, e.stdout, e.stderr)
		}
		of = map[string][]string{}
		for _, f := range report.Findings {
			of[f.Status] = append(of[f.Status], f.Check+" "+f.Subject)
		}
		return e.code, of, e.stdout + e.stderr
	}
	// Everything can be told, and nothing is lacking.
	if code, of, all := doctor(); code != 0 || len(of["failure"])+len(of["unknown"]) > 0 {
		t.Errorf("nudged doctor ends with code %d, failures %q, cannot tell %q:\n%s", code, of["failure"], of["unknown"], all)
	}
	code, of, all := doctor("NUDGED_KAFKA_SASL_USERNAME=nobody")
	for _, of := range []string{"topic events", "topic sends", "topic decisions", "topic dead-letters", "group nudged", "transactional ids nudged-*"} {
		if !strings.Contains(all, `"subject": "`+of+`",
      "status": "failure"`) {
			t.Errorf("that nobody has a right on %s is not told", of)
		}
	}
	if code != 1 || len(of["failure"]) != 6 {
		t.Errorf("as nobody nudged doctor ends with code %d and failures %q:\n%s", code, of["failure"], all)
	}
}

// requireLeast tries what each must not.
func (s *secured) requireLeast(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, tc := range []struct{ user, topic string }{
		{"nudged", "events"}, {"events", "sends"}, {"events", "decisions"}, {"events", "dead-letters"}, {"sender", "sends"}, {"nobody", "events"}, {"eraser", "sends"},
	} {
		err := s.client(t, tc.user).ProduceSync(ctx, &kgo.Record{Topic: tc.topic, Value: []byte("x")}).FirstErr()
		if !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
			t.Errorf("%s writes to %s: %v", tc.user, tc.topic, err)
		}
	}
	for _, tc := range []struct{ user, topic string }{{"events", "events"}, {"sender", "decisions"}, {"nobody", "sends"}, {"nudged", "dead-letters"}, {"eraser", "events"}} {
		cl := s.client(t, tc.user, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tc.topic: {0: kgo.NewOffset().At(0)}}))
		if err := cl.PollFetches(ctx).Err(); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("%s reads %s: %v", tc.user, tc.topic, err)
		}
	}
	if _, err := kadm.NewClient(s.client(t, "nudged")).CreateTopic(ctx, 1, 1, nil, "more"); !errors.Is(err, kerr.TopicAuthorizationFailed) && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		t.Errorf("nudged makes a topic: %v", err)
	}
	cl := redis.NewClient(&redis.Options{Addr: s.redis, Username: "nudged", Password: password})
	defer cl.Close()
	for _, args := range [][]any{
		{"get", "nudged:{x}:h"},
		{"hgetall", "another:key"},
		{"keys", "*"},
		{"flushall"},
		{"config", "set", "maxmemory", "1"},
		{"acl", "list"},
		{"eval", "return redis.call('hgetall', KEYS[1])", 1, "another:key"},
		{"shutdown"},
		{"publish", "a", "b"},
	} {
		if err := cl.Do(ctx, args...).Err(); !redis.HasErrorPrefix(err, "NOPERM") && !strings.Contains(fmt.Sprint(err), "ACL failure") {
			t.Errorf("nudged may %v in Redis: %v", args, err)
		}
	}
	open := redis.NewClient(&redis.Options{Addr: s.redis})
	defer open.Close()
	if err := open.HGetAll(ctx, "nudged:{x}:h").Err(); err == nil {
		t.Error("Redis lets in without a password")
	}
}

// until reads so many commands, or fails when the daemon has ended before.
func (d *running) until(t *testing.T, sender *kgo.Client, commands int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		select {
		case <-d.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	for read := 0; read < commands; {
		fetches := sender.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("the sender has read %d of %d commands: %v\n%s", read, commands, err, d.said())
		}
		read += fetches.NumRecords()
	}
}
