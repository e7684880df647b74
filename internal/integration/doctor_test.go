package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
)

// finding is an entry of `nudged doctor --json`.
type finding struct{ Check, Subject, Status, Found, Why, Do string }

// examined is what the doctor found.
type examined struct {
	t        *testing.T
	code     int
	findings []finding
	output   string
}

// doctor runs `nudged doctor --json`.
func doctor(t *testing.T, config string, env ...string) *examined {
	t.Helper()
	e := nudged(t, env, "doctor", "--config", config, "--json")
	var report struct{ Findings []finding }
	if err := json.Unmarshal([]byte(e.stdout), &report); err != nil {
		t.Fatalf("%v\n%s%s", err, e.stdout, e.stderr)
	}
	return &examined{t, e.code, report.Findings, e.stdout + e.stderr}
}

// requireFound fails unless the doctor has found it, with a way out where
// something is wrong.
func (x *examined) requireFound(status, check, subject, says string) {
	x.t.Helper()
	for _, f := range x.findings {
		if f.Status == status && f.Check == check && strings.Contains(f.Subject, subject) && strings.Contains(f.Found, says) &&
			f.Why != "" && (f.Do != "" || status == "ok" || status == "unknown") {
			return
		}
	}
	x.t.Errorf("no %s of %s on %q says %q:\n%s", status, check, subject, says, x.output)
}

// requireOnly fails unless all failures are of the checks given, and there is one
// of each.
func (x *examined) requireOnly(checks ...string) {
	x.t.Helper()
	var got []string
	for _, f := range x.findings {
		if f.Status == "failure" && !slices.Contains(got, f.Check) {
			got = append(got, f.Check)
		}
	}
	code := min(len(checks), 1)
	if !slices.Equal(got, checks) || x.code != code {
		x.t.Errorf("failures are of %q and the exit code is %d, want %q and %d:\n%s", got, x.code, checks, code, x.output)
	}
}

// content is what a look must leave as it is: the keys of Redis with their values,
// and of Kafka the topics of the test with settings and ends, and what its groups
// have committed.
func (w *world) content(client *goredis.Client) map[string]string {
	w.t.Helper()
	ctx, all := w.t.Context(), map[string]string{}
	note := func(err error, name string, v ...any) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("%s: %v", name, err)
		}
		all[name] = fmt.Sprint(v...)
	}
	for keys := client.Scan(ctx, 0, "*", 1000).Iterator(); keys.Next(ctx); {
		value, err := client.Dump(ctx, keys.Val()).Result()
		note(err, "key "+keys.Val(), value)
	}
	size, err := client.DBSize(ctx).Result()
	note(err, "keys", size)
	topics, err := w.adm.ListTopics(ctx)
	note(err, "topics")
	for _, name := range topics.Names() {
		if !strings.Contains(name, w.group) && !strings.HasPrefix(name, "__") {
			continue // of another test
		}
		all["topic "+name] = fmt.Sprint(len(topics[name].Partitions))
		if strings.Contains(name, w.group) {
			ends, err := w.adm.ListEndOffsets(ctx, name)
			note(err, "ends of "+name, ends.Offsets().Sorted())
			settings, err := w.adm.DescribeTopicConfigs(ctx, name)
			text := ""
			for _, c := range settings[0].Configs {
				text += c.Key + "=" + c.MaybeValue() + "\n"
			}
			note(err, "settings of "+name, text)
		}
	}
	groups, err := w.adm.ListGroups(ctx)
	note(err, "groups")
	for _, g := range groups.Groups() {
		if strings.Contains(g, w.group) {
			offsets, err := w.adm.FetchOffsets(ctx, g)
			note(err, "offsets of "+g, offsets.Offsets().Sorted())
		}
	}
	return all
}

// The doctor finds nothing wrong with what is fine, names what is not, one fault
// after the other, and leaves everything as it is.
func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	w.redisAddr = ownRedis(t, "noeviction")
	redis := goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	defer redis.Close()
	set := func(name, value string) {
		t.Helper()
		if err := redis.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("appendonly", "yes")
	set("hash-max-listpack-value", "512")
	config := w.config("testdata/rules.yaml", "wall")

	x := doctor(t, config) // before the first start
	x.requireOnly()

	w.put(signups("early", 20)...)
	w.small().requireExit(0)
	before := w.content(redis)

	// Nothing is wrong.
	x = doctor(t, config)
	x.requireOnly()
	for _, check := range []string{"config", "rules", "kafka.reach", "redis.reach", "redis.version", "redis.eviction", "redis.persistence", "redis.rights", "clock.redis", "clock.kafka"} {
		x.requireFound("ok", check, "", "")
	}
	for _, of := range []string{"topic " + w.events, "topic " + w.sends, "topic " + w.decisions, "topic " + w.dead, "group " + w.group, "transactional ids " + w.group} {
		x.requireFound("ok", "kafka.rights", of, "allowed")
	}
	for p := range 2 {
		at, _ := w.committedOffset(int32(p))
		x.requireFound("ok", "state", fmt.Sprintf("%s/%d", w.events, p), "Redis and Kafka agree; in Redis: epoch")
		x.requireFound("ok", "kafka.lag", fmt.Sprintf("%s/%d", w.events, p), fmt.Sprintf("0 records behind: committed is offset %d", at))
	}
	// For people.
	if e := nudged(t, nil, "doctor", "--config", config); e.code != 0 || !strings.Contains(e.stdout, "0 failures") {
		t.Errorf("exit code %d:\n%s%s", e.code, e.stdout, e.stderr)
	}

	// What is asked for is not there, or not right.
	nowhere := "127.0.0.1:1"
	x = doctor(t, config, "NUDGED_KAFKA_BROKERS="+nowhere)
	x.requireOnly("kafka.reach")
	x.requireFound("failure", "kafka.reach", nowhere, "refused")
	x.requireFound("ok", "redis.eviction", "", "noeviction")
	x = doctor(t, config, "NUDGED_KAFKA_BROKERS="+w.brokers+","+nowhere)
	x.requireOnly("kafka.reach")
	x.requireFound("ok", "state", w.events+"/0", "agree")
	x = doctor(t, config, "NUDGED_REDIS_ADDRS="+nowhere)
	x.requireOnly("redis.reach")
	x.requireFound("failure", "redis.reach", nowhere, "refused")
	x.requireFound("ok", "kafka.rights", "group", "allowed")
	x.requireFound("unknown", "state", w.events+"/0", "cannot be read")
	x = doctor(t, config, "NUDGED_KAFKA_TOPICS_SENDS="+w.group+"-missing")
	x.requireOnly("kafka.topic")
	x.requireFound("failure", "kafka.topic", w.group+"-missing", "UNKNOWN_TOPIC_OR_PARTITION")
	x = doctor(t, config, "NUDGED_RULES="+writeFile(t, "wrong.yaml", "rules:\n  - name: a\n    on: b\n    wiat: 1h\n"))
	x.requireOnly("rules")
	x.requireFound("failure", "rules", "wrong.yaml", "wrong.yaml:4:5")
	x = doctor(t, config, "NUDGED_CLOCK=lunar", "NUDGED_KAFKA_START=nowhere")
	x.requireOnly("config")
	x.requireFound("failure", "config", "", `clock: "lunar"`)
	x.requireFound("failure", "config", "", `kafka.start: "nowhere"`)
	x = doctor(t, config, "NUDGED_KAFKA_GROUP="+w.group+"-renamed")
	x.requireOnly("state")
	x.requireFound("failure", "state", w.events, "the group was renamed")
	x.requireFound("warning", "redis.others", w.group, "this group, too")
	x = doctor(t, config, "NUDGED_KAFKA_TRANSACTION_TIMEOUT=20m", "NUDGED_KAFKA_SESSION_TIMEOUT=21m")
	x.requireOnly("kafka.transactions")

	same(t, w.content(redis), before)

	// Redis.
	set("maxmemory-policy", "allkeys-lru")
	x = doctor(t, config)
	x.requireOnly("redis.eviction")
	x.requireFound("failure", "redis.eviction", w.redisAddr, "allkeys-lru")
	set("maxmemory-policy", "noeviction")
	set("appendonly", "no")
	x = doctor(t, config)
	x.requireOnly()
	x.requireFound("warning", "redis.persistence", w.redisAddr, "AOF is off")
	set("appendonly", "yes")
	if err := redis.Do(t.Context(), "ACL", "SETUSER", "limited", "on", ">hunter2", "~nudged:*", "+@all", "-scan", "-rpush").Err(); err != nil {
		t.Fatal(err)
	}
	x = doctor(t, config, "NUDGED_REDIS_USERNAME=limited", "NUDGED_REDIS_PASSWORD=hunter2")
	x.requireOnly("redis.rights")
	x.requireFound("failure", "redis.rights", w.redisAddr, "limited may not run scan, rpush")
	if strings.Contains(x.output, "hunter2") {
		t.Errorf("the password is shown:\n%s", x.output)
	}
	x = doctor(t, config, "NUDGED_REDIS_USERNAME=limited", "NUDGED_REDIS_PASSWORD=wrong")
	x.requireOnly("redis.reach")
	x.requireFound("failure", "redis.reach", w.redisAddr, "WRONGPASS")
	same(t, w.content(redis), before)

	// Kafka and what it holds.
	policy := "compact"
	if _, err := w.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cleanup.policy", Value: &policy}}, w.sends); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker tells of the setting", func() bool {
		return slices.ContainsFunc(doctor(t, config).findings, func(f finding) bool { return f.Check == "kafka.cleanup" && f.Status == "failure" })
	})
	doctor(t, config).requireOnly("kafka.cleanup")
	at, metadata := w.committedOffset(0)
	w.commit(at-1, metadata)
	x = doctor(t, config)
	x.requireOnly("kafka.cleanup", "state")
	x.requireFound("failure", "state", w.events+"/0", "somebody has moved it")
	x.requireFound("ok", "state", w.events+"/1", "agree")
	w.commit(at, metadata)
	if _, err := w.adm.CreatePartitions(t.Context(), 1, w.events); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker knows of the partition", func() bool {
		topics, err := w.adm.ListTopics(t.Context(), w.events)
		return err == nil && len(topics[w.events].Partitions) == 3
	})
	x = doctor(t, config)
	x.requireOnly("kafka.cleanup", "state")
	x.requireFound("failure", "state", w.events+"/0", "numbers of partitions have changed")
}

// same fails where contents differ.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s has changed from %q to %q", name, value, got[name])
		}
	}
	for name := range got {
		if _, was := want[name]; !was {
			t.Errorf("%s is new", name)
		}
	}
}
