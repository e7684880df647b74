package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// world is the topics and the group of one test.
type world struct {
	t                  *testing.T
	kafka              *kgo.Client
	adm                *kadm.Client
	redis              *goredis.Client
	brokers, redisAddr string
	// front are the brokers that nudged uses, where they are not those of the test;
	// kafkaConfig are more lines for its configuration, redisConfig is in the place of
	// the address.
	front, kafkaConfig, redisConfig string
	replicas                        int16
	group                           string
	events, sends, decisions, dead  string
}

// Numbers of partitions: those that records go to by their input partition are
// not as many as that has.
const (
	sendPartitions     = 5
	decisionPartitions = 12
	deadPartitions     = 2
)

// newWorld makes the topics. settings are of the input topic.
func newWorld(t *testing.T, partitions int, settings map[string]*string) *world {
	t.Helper()
	w := connect(t)
	w.events = w.group + "-events"
	w.create(w.events, partitions, settings)
	w.createOutputs()
	return w
}

// newWorldOver makes a group of its own over an input topic that exists.
func newWorldOver(t *testing.T, events string) *world {
	t.Helper()
	w := connect(t)
	w.events = events
	w.createOutputs()
	return w
}

func connect(t *testing.T) *world {
	t.Helper()
	brokers, redis := services(t)
	return connectTo(t, brokers, redis)
}

func connectTo(t *testing.T, brokers, redis string) *world {
	t.Helper()
	w := &world{t: t, group: "it-" + randomName(), brokers: brokers, redisAddr: redis, replicas: 1}
	w.kafka = kafkaClient(t, w.brokers)
	w.adm = kadm.NewClient(w.kafka)
	w.redis = goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	t.Cleanup(func() { w.redis.Close() })
	t.Cleanup(w.emptyRedis)
	return w
}

func kafkaClient(t *testing.T, brokers string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(brokers), kgo.ClientID("nudged-integration"),
		kgo.MetadataMinAge(20 * time.Millisecond), // the answer to whether a topic is there is cached for so long
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (w *world) createOutputs() {
	w.sends, w.decisions, w.dead = w.group+"-sends", w.group+"-decisions", w.group+"-dead"
	w.create(w.sends, sendPartitions, nil)
	w.create(w.decisions, decisionPartitions, nil)
	w.create(w.dead, deadPartitions, nil)
}

func (w *world) create(topic string, partitions int, settings map[string]*string) {
	w.t.Helper()
	if _, err := w.adm.CreateTopic(w.t.Context(), int32(partitions), w.replicas, settings, topic); err != nil {
		w.t.Fatalf("create topic %s: %v", topic, err)
	}
	// The controller has made it; the broker hears of it a moment later.
	eventually(w.t, "the broker knows topic "+topic, func() bool {
		topics, err := w.adm.ListTopics(w.t.Context(), topic)
		return err == nil && topics.Error() == nil && len(topics[topic].Partitions) == partitions
	})
	w.t.Cleanup(func() {
		if _, err := w.adm.DeleteTopic(context.Background(), topic); err != nil {
			w.t.Errorf("delete topic %s: %v", topic, err)
		}
	})
}

// keysOf matches the group's keys in Redis, and no others.
func (w *world) keysOf() string { return "nudged:{" + w.group + "[:}]*" }

// emptyRedis removes what the group has in Redis.
func (w *world) emptyRedis() {
	ctx := context.Background()
	for keys := w.redis.Scan(ctx, 0, w.keysOf(), 1000).Iterator(); ; {
		if !keys.Next(ctx) {
			if err := keys.Err(); err != nil {
				w.t.Errorf("scan Redis: %v", err)
			}
			return
		}
		if err := w.redis.Unlink(ctx, keys.Val()).Err(); err != nil {
			w.t.Errorf("unlink: %v", err)
		}
	}
}

// config writes a configuration for the world. A process that is killed is
// missed by the group after session_timeout.
func (w *world) config(rules, clock string, more ...string) string {
	w.t.Helper()
	rules, err := filepath.Abs(rules)
	if err != nil {
		w.t.Fatal(err)
	}
	front, redis := w.front, w.redisConfig
	if front == "" {
		front = w.brokers
	}
	if redis == "" {
		redis = "{addrs: [" + w.redisAddr + "]}"
	}
	text := fmt.Sprintf(`kafka:
  brokers: [%s]
  group: %s
  topics: {events: [%s], sends: %s, decisions: %s, dead_letters: %s}
  session_timeout: 6s
  transaction_timeout: 3s
%s
redis: %s
rules: %s
clock: %s
http: {addr: "127.0.0.1:0"}
log: {format: json}
%s
`, front, w.group, w.events, w.sends, w.decisions, w.dead, w.kafkaConfig, redis, rules, clock, strings.Join(more, "\n"))
	return writeFile(w.t, "nudged.yaml", text)
}

// The real shop.
const (
	rees46     = "../../examples/rees46/"
	shopRules  = rees46 + "rules.yaml"
	shopMap    = rees46 + "map.yaml"
	shopFile   = rees46 + "testdata/rees46_2019-10-01_0000-0250.csv.gz"
	shopOracle = rees46 + "oracle.py"

	// shopPartitions is of the input topics that hold the shop's events.
	shopPartitions = 12
)

// load begins to load a file of the shop into the input topic. wait returns when
// the broker has all of it.
func (w *world) load(file string, more ...string) (wait func()) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	args := append([]string{"produce", "--brokers", w.brokers, "--topic", w.events, "--map", shopMap}, more...)
	cmd := exec.CommandContext(ctx, program, append(args, file)...)
	cmd.Env = environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		cancel()
		w.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w.t.Cleanup(cancel)
	return func() {
		w.t.Helper()
		if err := <-ended; err != nil {
			w.t.Fatalf("nudged produce: %v\n%s", err, stderr.Bytes())
		}
	}
}

// replay runs the shop's events that the input topic holds to their end.
func (w *world) replay() *daemon {
	return start(w.t, "--config", w.config(shopRules, "wall"), "--clock", "event", "--stop-at-end")
}

// shared is what several tests read and none changes: the shop's events many
// times over, as more users, in a topic and as what the oracle says of them.
var shared struct {
	once    sync.Once
	brokers string
	topic   string
	file    string
	want    outcomes
}

// copies is how many times the shared topic holds the shop.
const copies = 6

// bigShop returns the shared topic, and all that has to be decided over it.
func bigShop(t *testing.T) (topic string, want outcomes) {
	t.Helper()
	brokers, _ := services(t)
	interpreter := python(t)
	shared.once.Do(func() {
		shared.brokers, shared.topic, shared.file = brokers, "it-big-"+randomName(), manyShops(t, copies)
		outputOf(t, program, "produce", "--brokers", brokers, "--topic", shared.topic, "--create", strconv.Itoa(shopPartitions),
			"--map", shopMap, shared.file)
		shared.want = expected(t, interpreter, shared.file)
	})
	if shared.want == nil {
		t.Fatal("the shared topic could not be made; the test that tried says why")
	}
	return shared.topic, shared.want
}

// dropShared deletes the shared topic.
func dropShared() {
	if shared.topic == "" {
		return
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(shared.brokers))
	if err == nil {
		defer cl.Close()
		_, err = kadm.NewClient(cl).DeleteTopic(context.Background(), shared.topic)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "delete topic %s: %v\n", shared.topic, err)
	}
}
