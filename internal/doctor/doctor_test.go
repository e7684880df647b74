package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
	"github.com/nudged/nudged/rules/rulefile"
)

const rulesText = `
rules:
  - name: cart
    on: add_to_cart
    wait: 7d
    cooldown: 14d
    send: {channel: push, class: transactional, template: t}
`

var moment = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// healthy are facts of which nothing is to be said: three replicas of everything,
// a group of two processes, one partition that Kafka and Redis agree on.
func healthy(t *testing.T) *Facts {
	t.Helper()
	compiled, err := rulefile.Compile([]rulefile.File{{Name: "rules.yaml", Text: []byte(rulesText)}})
	if err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	topic := func(own map[string]string, rights ...string) Topic {
		s := map[string]string{
			"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "cleanup.policy": "delete",
			"retention.ms": "2592000000", "retention.bytes": "-1", "max.message.bytes": "1048588", "message.timestamp.type": "CreateTime",
		}
		for k, v := range own {
			s[k] = v
		}
		may := map[string]bool{"DESCRIBE": true}
		for _, r := range rights {
			may[r] = true
		}
		return Topic{Partitions: 1, Replicas: 3, Rights: may, Settings: Settings{Values: s}}
	}
	k := &KafkaFacts{
		Brokers: []Broker{{Address: "a:9092", Seed: true}}, Features: map[string]int16{"transaction.version": 2}, Guess: "v4.1",
		Topics: map[string]Topic{
			"events": topic(nil, "READ"), "sends": topic(nil, "READ", "WRITE"), "decisions": topic(nil, "READ", "WRITE"), "dead-letters": topic(nil, "WRITE"),
			offsetsTopic:      topic(map[string]string{"cleanup.policy": "compact"}),
			transactionsTopic: topic(map[string]string{"cleanup.policy": "compact"}),
		},
		Settings: Settings{Values: map[string]string{
			"transaction.max.timeout.ms": "900000", "offsets.retention.minutes": "10080",
			"group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "1800000", "offset.metadata.max.bytes": "4096",
		}},
		Group:    Group{Asked: true, State: "Stable", Rights: map[string]bool{"READ": true}, Clients: map[string]int{"nudged-group": 2}},
		TxnAsked: true, TxnErr: kerr.InvalidProducerIDMapping,
		Newest: map[string]int64{"events": moment.Add(-time.Minute).UnixMilli()},
	}
	counts := processor.Counts{Input: 1, Sends: 1, Decisions: 1}
	history := processor.History{{Epoch: 5, First: 1}}
	at := processor.Position{TopicID: "id.cluster", Offset: 90, Base: 10, Epoch: 5, Claimer: "0000aaaa", Seq: 3, History: history, Last: 3, Counts: counts}
	k.Partitions = []Partition{{
		Input:  processor.TopicPartition{Topic: "events"},
		Kafka:  processor.Inspection{Committed: true, Offset: 90, Metadata: at.Metadata(), Start: 0, End: 100, TopicID: "id.cluster", Counts: counts},
		Header: &processor.Header{ID: "nudged id.cluster 1", Epoch: 5, Seq: 3, History: history, Last: 3, Offset: 90, Base: 10},
	}}
	r := &RedisFacts{
		Addresses: []Broker{{Address: "r:6379", Seed: true}},
		Nodes: []Node{{
			Address: "r:6379", Blur: time.Millisecond,
			Info: map[string]string{
				"redis_version": "7.2.4", "role": "master", "connected_slaves": "1", "aof_enabled": "1", "aof_last_write_status": "ok",
				"aof_last_bgrewrite_status": "ok", "rdb_last_bgsave_status": "ok", "used_memory": "1000", "maxmemory": "10000", "maxmemory_policy": "noeviction",
			},
			Settings: Settings{Values: map[string]string{
				"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction",
				"min-replicas-to-write": "0", "hash-max-listpack-value": "512",
			}},
		}},
		Stored: []Stored{{"nudged", processor.TopicPartition{Topic: "events"}}},
	}
	return &Facts{Config: c, Set: compiled.Set, Kafka: k, Redis: r, Now: moment}
}

func TestHealthy(t *testing.T) {
	r := Diagnose(healthy(t))
	if r.Status != OK || len(r.Findings) == 0 || r.Count[OK] != len(r.Findings) {
		t.Errorf("not all is well: %+v", bad(r))
	}
	told := map[string]bool{}
	for _, f := range r.Findings {
		told[f.Check] = true
	}
	for name := range Checks {
		if !told[name] {
			t.Errorf("nothing is said about %s", name)
		}
	}
}

func bad(r *Report) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Status == OK })
}

func set(k *KafkaFacts, topic, name, value string) {
	values := map[string]string{}
	t := k.Topics[topic]
	for k, v := range t.Settings.Values {
		values[k] = v
	}
	values[name] = value
	t.Settings.Values = values
	k.Topics[topic] = t
}

func spoil(k *KafkaFacts, topic string, f func(*Topic)) {
	t := k.Topics[topic]
	f(&t)
	k.Topics[topic] = t
}

// One thing is wrong at a time, and exactly that is said, with a way out.
func TestFaultsAreNamed(t *testing.T) {
	away := errors.New("connection refused")
	for name, tc := range map[string]struct {
		spoil    func(*Facts)
		status   Status
		check    string
		says, do string
	}{
		"an answer that stays":        {func(f *Facts) { f.Config.OnOffsetReset = "skip" }, Warning, "config", "skip", "Take it out"},
		"an accepted loss that stays": {func(f *Facts) { f.Config.AcceptStateLoss = true }, Warning, "config", "lacks something", "Take it out"},
		"rules":                       {func(f *Facts) { f.RulesErr = errors.New("rules.yaml:3:5: no such thing") }, Failure, "rules", "rules.yaml:3:5", "nudged check"},
		"no rules":                    {func(f *Facts) { f.Set.Rules = nil }, Warning, "rules", "0 rules", "Name the file"},

		"a broker":            {func(f *Facts) { f.Kafka.Brokers = append(f.Kafka.Brokers, Broker{Address: "b:9092", Err: away}) }, Failure, "kafka.reach", "connection refused", "advertised.listeners"},
		"old Kafka":           {func(f *Facts) { f.Kafka.Old, f.Kafka.Guess = true, "v2.4" }, Failure, "kafka.version", "v2.4", "2.5"},
		"transaction.version": {func(f *Facts) { f.Kafka.Features = nil }, Warning, "kafka.version", "transaction.version is 0", "transaction.version=2"},
		"no leader":           {func(f *Facts) { spoil(f.Kafka, "sends", func(t *Topic) { t.Leaderless = []int32{0} }) }, Failure, "kafka.topic", "[0] have no leader", "brokers"},
		"may not write": {func(f *Facts) {
			spoil(f.Kafka, "decisions", func(t *Topic) { t.Rights = map[string]bool{"READ": true} })
		}, Failure, "kafka.rights", "WRITE not allowed", "--topic decisions --operation WRITE"},
		"may not read the group":      {func(f *Facts) { f.Kafka.Group.Rights = map[string]bool{"DESCRIBE": true} }, Failure, "kafka.rights", "READ not allowed", "--group nudged"},
		"transactional ids":           {func(f *Facts) { f.Kafka.TxnErr = kerr.TransactionalIDAuthorizationFailed }, Failure, "kafka.rights", "WRITE is not allowed", "--transactional-id nudged- --resource-pattern-type prefixed"},
		"one replica":                 {func(f *Facts) { spoil(f.Kafka, "sends", func(t *Topic) { t.Replicas = 2 }) }, Warning, "kafka.durability", "fewer than 3", "three replicas"},
		"one in sync":                 {func(f *Facts) { set(f.Kafka, offsetsTopic, "min.insync.replicas", "1") }, Warning, "kafka.durability", "single replica", "min.insync.replicas to 2"},
		"unclean":                     {func(f *Facts) { set(f.Kafka, "decisions", "unclean.leader.election.enable", "true") }, Warning, "kafka.durability", "lags may become leader", "unclean.leader.election.enable to false"},
		"more in sync than there are": {func(f *Facts) { set(f.Kafka, "sends", "min.insync.replicas", "4") }, Failure, "kafka.durability", "nothing can be written", "at most"},
		"a replica lags":              {func(f *Facts) { spoil(f.Kafka, "events", func(t *Topic) { t.UnderInSync = []int32{0} }) }, Warning, "kafka.durability", "not in sync", "brokers"},
		"short input":                 {func(f *Facts) { set(f.Kafka, "events", "retention.ms", "86400000") }, Warning, "kafka.retention", "look back 14 days", "1209600000"},
		"short evidence":              {func(f *Facts) { set(f.Kafka, "sends", "retention.ms", "86400000") }, Warning, "kafka.retention", "the input 30 days", "2592000000"},
		"evidence of an input that stays": {func(f *Facts) {
			set(f.Kafka, "events", "retention.ms", "-1")
			set(f.Kafka, "decisions", "retention.ms", "-1")
		}, Warning, "kafka.retention", "the input for ever", "(-1)"},
		"retention by size":   {func(f *Facts) { set(f.Kafka, "events", "retention.bytes", "1000") }, Warning, "kafka.retention", "retention.bytes is 1000", "-1"},
		"compacted sends":     {func(f *Facts) { set(f.Kafka, "sends", "cleanup.policy", "compact,delete") }, Failure, "kafka.cleanup", "compact", "delete"},
		"compacted input":     {func(f *Facts) { set(f.Kafka, "events", "cleanup.policy", "compact") }, Warning, "kafka.cleanup", "compact", "delete"},
		"small messages":      {func(f *Facts) { set(f.Kafka, "dead-letters", "max.message.bytes", "500000") }, Failure, "kafka.message_size", "500000", "1048588"},
		"history by its time": {func(f *Facts) { f.Config.Clock = "event" }, Warning, "kafka.timestamps", "CreateTime", "LogAppendTime"},
		"transaction timeout": {func(f *Facts) { f.Kafka.Settings.Values["transaction.max.timeout.ms"] = "5000" }, Failure, "kafka.transactions", "5s", "transaction.max.timeout.ms"},
		"offsets expire":      {func(f *Facts) { f.Kafka.Settings.Values["offsets.retention.minutes"] = "60" }, Warning, "kafka.offsets", "60", "10080"},
		"session timeout":     {func(f *Facts) { f.Kafka.Settings.Values["group.max.session.timeout.ms"] = "10000" }, Failure, "kafka.offsets", "10s", "session_timeout"},
		"offset metadata":     {func(f *Facts) { f.Kafka.Settings.Values["offset.metadata.max.bytes"] = "100" }, Failure, "kafka.offsets", "100", "4096"},
		"a stranger":          {func(f *Facts) { f.Kafka.Group.Clients["console-consumer"] = 1 }, Warning, "kafka.group", `"console-consumer"`, "group of their own"},
		"rebalancing":         {func(f *Facts) { f.Kafka.Group.State = "PreparingRebalance" }, Warning, "kafka.group", "PreparingRebalance", "logs"},
		"a large lag":         {func(f *Facts) { f.Kafka.Partitions[0].Kafka.End = 1_000_000 }, Warning, "kafka.lag", "999910 records behind", "runbook"},
		"few partitions": {func(f *Facts) {
			spoil(f.Kafka, "events", func(t *Topic) { t.Partitions = 3 })
			spoil(f.Kafka, "decisions", func(t *Topic) { t.Partitions = 3 })
		}, Warning, "kafka.partitions", "1 partitions, the events have 3", "create it"},
		"clocks": {func(f *Facts) { f.Kafka.Newest["events"] = moment.Add(time.Hour).UnixMilli() }, Warning, "clock.kafka", "1h0m0s ahead", "NTP"},

		"Redis by its address": {func(f *Facts) { f.Redis.Addresses[0].Err = away }, Failure, "redis.reach", "connection refused", "redis.addrs"},
		"old Redis":            {func(f *Facts) { f.Redis.Nodes[0].Info["redis_version"] = "6.2.1" }, Failure, "redis.version", "6.2.1", "Redis 7"},
		"eviction":             {func(f *Facts) { f.Redis.Nodes[0].Settings.Values["maxmemory-policy"] = "allkeys-lru" }, Failure, "redis.eviction", "allkeys-lru", "CONFIG SET maxmemory-policy noeviction"},
		"no AOF, no snapshots": {func(f *Facts) { f.Redis.Nodes[0].Info["aof_enabled"] = "0" }, Warning, "redis.persistence", "nothing is saved", "appendonly yes"},
		"no AOF": {func(f *Facts) {
			f.Redis.Nodes[0].Info["aof_enabled"] = "0"
			f.Redis.Nodes[0].Settings.Values["save"] = "60 1"
		}, Warning, "redis.persistence", "last snapshot", "appendonly yes"},
		"AOF fails":            {func(f *Facts) { f.Redis.Nodes[0].Info["aof_last_write_status"] = "err" }, Failure, "redis.persistence", "refuses writes", "disk"},
		"AOF is not rewritten": {func(f *Facts) { f.Redis.Nodes[0].Info["aof_last_bgrewrite_status"] = "err" }, Warning, "redis.persistence", "grows", "disk"},
		"no fsync":             {func(f *Facts) { f.Redis.Nodes[0].Settings.Values["appendfsync"] = "no" }, Warning, "redis.persistence", "appendfsync is no", "everysec"},
		"a snapshot fails": {func(f *Facts) {
			f.Redis.Nodes[0].Info["rdb_last_bgsave_status"] = "err"
			f.Redis.Nodes[0].Settings.Values["save"] = "60 1"
		}, Failure, "redis.persistence", "rdb_last_bgsave_status", "disk"},
		"it loads":          {func(f *Facts) { f.Redis.Nodes[0].Info["loading"] = "1" }, Warning, "redis.persistence", "reading its data", "Wait"},
		"little memory":     {func(f *Facts) { f.Redis.Nodes[0].Info["used_memory"] = "9000" }, Warning, "redis.memory", "90 %", "raise maxmemory"},
		"no memory":         {func(f *Facts) { f.Redis.Nodes[0].Info["used_memory"] = "10000" }, Failure, "redis.memory", "refused", "raise maxmemory"},
		"a replica":         {func(f *Facts) { f.Redis.Nodes[0].Info["role"] = "slave" }, Failure, "redis.replicas", "takes no writes", "address of the master"},
		"too few replicas":  {func(f *Facts) { f.Redis.Nodes[0].Settings.Values["min-replicas-to-write"] = "2" }, Failure, "redis.replicas", "min-replicas-to-write is 2", "Bring back"},
		"none in a Cluster": {func(f *Facts) { f.Config.Redis.Mode = "cluster"; f.Redis.Nodes[0].Info["connected_slaves"] = "0" }, Warning, "redis.replicas", "nothing can take over", "replica"},
		"rights": {func(f *Facts) {
			f.Redis.Nodes[0].Denied = []redis.Denied{{Command: "rpush", Err: errors.New("NOPERM rpush")}, {Command: "scan", Err: errors.New("NOPERM scan")}}
		}, Failure, "redis.rights", "rpush, scan", "+rpush +scan"},
		"a right for show":         {func(f *Facts) { f.Redis.Nodes[0].Denied = []redis.Denied{{Command: "llen", Err: away}} }, Warning, "redis.rights", "llen", "+llen"},
		"packing":                  {func(f *Facts) { f.Redis.Nodes[0].Settings.Values["hash-max-listpack-value"] = "64" }, Warning, "redis.packing", "64", "512"},
		"clock":                    {func(f *Facts) { f.Redis.Nodes[0].Skew = -3 * time.Second }, Warning, "clock.redis", "-3s", "NTP"},
		"a group that was renamed": {func(f *Facts) { f.Redis.Stored[0].Group = "former" }, Warning, "redis.others", "nudged has none", "former name"},
		"a topic that was taken out": {func(f *Facts) {
			f.Redis.Stored = append(f.Redis.Stored, Stored{"nudged", processor.TopicPartition{Topic: "clicks", Partition: 3}})
		}, Warning, "redis.others", "clicks/3", "kafka.topics.events"},

		"Redis behind":     {func(f *Facts) { f.Kafka.Partitions[0].Header.Seq, f.Kafka.Partitions[0].Header.Offset = 2, 50 }, Warning, "state", "Redis is behind", "/readyz"},
		"Redis emptied":    {func(f *Facts) { f.Kafka.Partitions[0].Header = nil }, Warning, "state", "holds no state", "/readyz"},
		"offset moved":     {func(f *Facts) { f.Kafka.Partitions[0].Kafka.Offset = 89 }, Failure, "state", "somebody has moved it", "--on-offset-reset"},
		"strange metadata": {func(f *Facts) { f.Kafka.Partitions[0].Kafka.Metadata = "" }, Failure, "state", "was not written by nudged", "--on-offset-reset"},
		"offsets expired":  {func(f *Facts) { f.Kafka.Partitions[0].Kafka.Committed = false }, Failure, "state", "expired or the group was deleted", "--on-offset-reset"},
		"counts":           {func(f *Facts) { f.Kafka.Partitions[0].Kafka.Counts.Input = 2 }, Failure, "state", "numbers of partitions have changed", "nudged rescale"},
		"two deployments":  {func(f *Facts) { f.Kafka.Partitions[0].Header.ID = "nudged id.another 1" }, Failure, "state", "two deployments", "another Redis"},
		"cut":              {func(f *Facts) { f.Kafka.Partitions[0].Kafka.Start = 95 }, Failure, "state", "the log begins at 95", "--accept-state-loss"},
		"renamed": {func(f *Facts) {
			p := &f.Kafka.Partitions[0]
			p.Kafka.Committed, p.Kafka.End, p.Header, p.Others = false, 0, nil, []string{"former"}
		}, Failure, "state", `"former"`, "former group name"},
	} {
		t.Run(name, func(t *testing.T) {
			f := healthy(t)
			tc.spoil(f)
			found := bad(Diagnose(f))
			if len(found) != 1 {
				t.Fatalf("found %+v, want one thing", found)
			}
			if g := found[0]; g.Status != tc.status || g.Check != tc.check || !strings.Contains(g.Found, tc.says) || !strings.Contains(g.Do, tc.do) || g.Why == "" {
				t.Errorf("found %+v, want %s of %s that says %q and %q", g, tc.status, tc.check, tc.says, tc.do)
			}
		})
	}
}

// What cannot be seen is no failure, and is said; what is away leaves the rest.
func TestCannotTell(t *testing.T) {
	f := healthy(t)
	for _, topic := range []string{"events", "sends"} {
		spoil(f.Kafka, topic, func(t *Topic) { t.Settings = Settings{Err: kerr.TopicAuthorizationFailed}; t.Rights = nil })
	}
	f.Kafka.Settings = Settings{Err: kerr.ClusterAuthorizationFailed}
	f.Kafka.Newest = nil
	f.Redis.Nodes[0].InfoErr, f.Redis.Nodes[0].Info = errors.New("NOPERM"), nil
	f.Redis.Nodes[0].SkewErr, f.Redis.ScanErr = errors.New("NOPERM"), errors.New("NOPERM")
	f.Kafka.Partitions[0].Err = errors.New("Redis is away")
	r := Diagnose(f)
	if r.Status != OK || r.Count[Unknown] == 0 {
		t.Errorf("status %s: %+v", r.Status, bad(r))
	}
	unknown := map[string]bool{}
	for _, n := range bad(r) {
		unknown[n.Check] = true
	}
	for _, check := range []string{
		"kafka.rights", "kafka.retention", "kafka.transactions", "kafka.offsets", "clock.kafka", "clock.redis",
		"redis.version", "redis.persistence", "redis.memory", "redis.replicas", "redis.others", "state",
	} {
		if !unknown[check] {
			t.Errorf("%s is not said to be unknown", check)
		}
	}

	f = healthy(t)
	f.Kafka = &KafkaFacts{Err: errors.New("no broker answers"), Brokers: []Broker{{Address: "a:1", Seed: true, Err: errors.New("refused")}}}
	r = Diagnose(f)
	if r.Status != Failure || r.Count[Failure] != 2 || !has(r, OK, "redis.eviction") || !has(r, Unknown, "state") {
		t.Errorf("Kafka away: %+v", r.Findings)
	}
	f = healthy(t)
	f.Redis = &RedisFacts{Err: errors.New("refused")}
	r = Diagnose(f)
	if r.Status != Failure || r.Count[Failure] != 1 || !has(r, OK, "kafka.rights") {
		t.Errorf("Redis away: %+v", r.Findings)
	}
}

func has(r *Report, status Status, check string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Check == check && f.Status == status })
}

// Everything that is wrong with a configuration is told, each thing apart, and
// nothing else is asked. No secret is shown, wherever it came from.
func TestConfiguration(t *testing.T) {
	c := config.Default()
	c.Redis.Password = "hunter2"
	c.Forward.Headers = map[string]string{"Authorization": "Bearer 12345"}
	f := &Facts{Config: c, RulesErr: errors.New("no rules"), ConfigErr: errors.Join(errors.New("clock: no"), errors.Join(
		errors.New("redis: hunter2 is odd"), fmt.Errorf("nudged.yaml: [2:3]\n> 2 | password: 'swordfish'\n      ^ Bearer 12345"),
		errors.New(`environment variable NUDGED_FORWARD_HEADERS="{a: swordfish": no`), errors.New("forward.secrets: is empty")))}
	r := Diagnose(f)
	if r.Count[Failure] != 6 || r.Count[Unknown] != 2 || r.Status != Failure || !has(r, Failure, "config") {
		t.Errorf("found %+v", r.Findings)
	}
	var text, data bytes.Buffer
	r.Print(&text)
	if err := r.JSON(&data); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), data.String()} {
		for _, secret := range []string{"hunter2", "swordfish", "12345"} {
			if strings.Contains(out, secret) {
				t.Errorf("%q is shown:\n%s", secret, out)
			}
		}
	}
	var back Report
	if err := json.Unmarshal(data.Bytes(), &back); err != nil || back.Count[Failure] != 6 || back.Findings[0].Status != Failure || back.Findings[0].Check != "config" {
		t.Errorf("read back %+v, %v", back, err)
	}
	if !strings.Contains(text.String(), "FAILURE      config: clock: no\n") || !strings.Contains(text.String(), "6 failures") || !strings.Contains(text.String(), "forward.secrets: is empty") {
		t.Errorf("printed\n%s", &text)
	}
}

// The page describes every check.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range Checks {
		if !strings.Contains(string(page), "\n| `"+name+"` | ") {
			t.Errorf("docs/doctor.md does not describe %s", name)
		}
	}
}

func TestStoredIn(t *testing.T) {
	for key, want := range map[string]string{
		"nudged:{g:events:3}:h":        "g events/3",
		"nudged:{a:b c:events.x:12}:h": "a:b c events.x/12",
		"nudged:{g:events:3}:o":        "",
		"nudged:{g:events:x}:h":        "",
		"nudged:{events:3}:h":          "",
		"other:{g:events:3}:h":         "",
	} {
		got := ""
		if s, ok := storedIn(key); ok {
			got = s.Group + " " + s.Input.String()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	compiled, err := rulefile.Compile([]rulefile.File{{Name: "rules.yaml", Text: []byte(`
metrics:
  orders: {count: purchase, within: 30d}
  ever: {count: purchase}
rules:
  - name: two_waits
    on: signup
    steps:
      - wait: 20d
      - send: {channel: push, class: transactional, template: a}
      - wait: 25d
      - send: {channel: push, class: transactional, template: b}
`)}})
	if err != nil {
		t.Fatal(err)
	}
	longest, lasting := memoryOf(compiled.Set)
	if days := longest / 86_400_000; days != 45 || len(lasting) != 1 || lasting[0] != "metric ever" {
		t.Errorf("%d days, without bound %q", days, lasting)
	}
}
