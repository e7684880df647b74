package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// broker is the real one where there is one, else one in this process.
func broker(t *testing.T) []string {
	t.Helper()
	if addr := os.Getenv("NUDGED_TEST_KAFKA"); addr != "" {
		return strings.Split(addr, ",")
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func create(t *testing.T, brokers []string) Topics {
	t.Helper()
	tag := fmt.Sprintf("test-load-%d", time.Now().UnixNano())
	topics := OutputTopics(tag)
	topics.Events = "bench-events-" + tag
	all := append(topics.Outputs(), topics.Events)
	if err := Create(t.Context(), brokers, 4, all...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Delete(context.Background(), brokers, all...); err != nil {
			t.Error(err)
		}
	})
	return topics
}

func small() workload.Config {
	cfg := workload.Default()
	cfg.Events, cfg.Users, cfg.Partitions = 3000, 300, 4
	return cfg
}

func generator(t *testing.T, cfg workload.Config) *workload.Generator {
	t.Helper()
	g, err := workload.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What lies on the topic is the generator's stream, each partition in its order.
func TestProduce(t *testing.T) {
	brokers := broker(t)
	topics, cfg := create(t, brokers), small()
	if _, err := Produce(t.Context(), brokers, topics.Events, generator(t, cfg), nil); err != nil {
		t.Fatal(err)
	}
	want := map[int32][]string{}
	var ev workload.Event
	for g := generator(t, cfg); g.Next(&ev); {
		want[ev.Partition] = append(want[ev.Partition], fmt.Sprintf("%s %d %s", ev.User, ev.TimeMS, ev.Value))
	}
	got := map[int32][]string{}
	err := ReadCommitted(t.Context(), brokers, topics.Events, func(r *kgo.Record) {
		got[r.Partition] = append(got[r.Partition], fmt.Sprintf("%s %d %s", r.Key, r.Timestamp.UnixMilli(), r.Value))
	})
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(4) {
		if len(want[p]) == 0 || !slices.Equal(got[p], want[p]) {
			t.Errorf("partition %d has %d records, want %d, or others", p, len(got[p]), len(want[p]))
		}
	}
	// A topic that holds something already is refused.
	if _, err := Produce(t.Context(), brokers, topics.Events, generator(t, cfg), nil); err == nil {
		t.Error("the stream was produced twice without a complaint")
	}
}

// Records that lie behind each other in time are sent no earlier than they are due.
func TestPaced(t *testing.T) {
	brokers := broker(t)
	topics, cfg := create(t, brokers), small()
	cfg.Events, cfg.Users = 200, 20
	cfg.Days = (500 * time.Millisecond).Hours() / 24
	cfg.Gap = 5 * time.Millisecond
	cfg.Start = time.Now()
	n := 0
	err := Paced(t.Context(), brokers, topics.Events, generator(t, cfg), func(ev *workload.Event, now time.Time) {
		n++
		if now.UnixMilli() < ev.TimeMS {
			t.Errorf("%s was sent %d ms early", ev.ID, ev.TimeMS-now.UnixMilli())
		}
	})
	if err != nil || n != cfg.Events {
		t.Fatalf("%d records sent (%v), want %d", n, err, cfg.Events)
	}
	seen := 0
	if err := ReadCommitted(t.Context(), brokers, topics.Events, func(*kgo.Record) { seen++ }); err != nil || seen != n {
		t.Errorf("%d records arrived (%v), want %d", seen, err, n)
	}
}

// Only what is committed counts, and an aborted transaction at the end of the
// topic does not keep the reader waiting.
func TestReadCommitted(t *testing.T) {
	brokers := broker(t)
	topics := create(t, brokers)
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(topics.Sends), kgo.DefaultProduceTopic(topics.Sends),
		kgo.MetadataMinAge(50*time.Millisecond)) // else a retry between two transactions waits 5 s
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, tx := range []struct {
		value string
		end   kgo.TransactionEndTry
	}{{"a", kgo.TryCommit}, {"b", kgo.TryAbort}, {"c", kgo.TryCommit}, {"d", kgo.TryAbort}} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		rec := &kgo.Record{Key: []byte("k"), Value: []byte(tx.value)}
		if err := cl.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), tx.end); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	read := func(ctx context.Context) error {
		return ReadCommitted(ctx, brokers, topics.Sends, func(r *kgo.Record) { got += string(r.Value) })
	}
	if err := read(t.Context()); err != nil || got != "ac" {
		t.Fatalf("read %q (%v), want ac", got, err)
	}
	// With a transaction open the topic's end is not known yet.
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte("k"), Value: []byte("e")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := read(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with an open transaction: %v, want the deadline", err)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	brokers := broker(t)
	topics := create(t, brokers)
	cfg := small()
	owed, err := Owed(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(owed.Sends) == 0 || owed.Events != cfg.Events || owed.Repeated == 0 {
		t.Fatalf("the workload owes %d sends for %d events, %d repeated", len(owed.Sends), owed.Events, owed.Repeated)
	}
	v, err := Check(t.Context(), brokers, topics, owed)
	if err != nil || v.OK() || v.Missing != len(owed.Sends) {
		t.Errorf("empty topics: %v (%v), want all missing", v, err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topics.DeadLetters, Value: []byte("{")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	v, err = Check(t.Context(), brokers, topics, oracle.New().Result())
	if err != nil || v.OK() || v.DeadLetters != 1 {
		t.Errorf("a dead letter: %v (%v), want it found", v, err)
	}
}
