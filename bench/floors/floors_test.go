package floors

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/load"
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

func loaded(ctx context.Context, t *testing.T, brokers []string, tag string) (workload.Config, load.Topics, int64) {
	t.Helper()
	cfg := workload.Default()
	cfg.Events, cfg.Users = 5000, 500
	g, err := workload.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	topics := load.OutputTopics(tag)
	topics.Events = "bench-events-" + tag
	all := append(topics.Outputs(), topics.Events)
	if err := load.Create(ctx, brokers, cfg.Partitions, all...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := load.Delete(context.Background(), brokers, all...); err != nil {
			t.Error(err)
		}
	})
	bytes, err := load.Produce(ctx, brokers, topics.Events, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, topics, bytes
}

func TestFloors(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	brokers := broker(t)
	tag := fmt.Sprintf("test-floors-%d", time.Now().UnixNano())
	cfg, topics, bytes := loaded(ctx, t, brokers, tag)

	d, err := Decode(ctx, brokers, topics.Events)
	if err != nil {
		t.Fatal(err)
	}
	const sends = 123
	c, err := ConsumeTransformProduce(ctx, brokers, topics.Events, topics.Sends, tag, sends)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]Result{"decode": d, "ctp": c} {
		if r.Records != int64(cfg.Events) || r.Bytes != bytes {
			t.Errorf("%s read %d records of %d bytes, want %d of %d", name, r.Records, r.Bytes, cfg.Events, bytes)
		}
	}
	if c.Sends != sends || c.Commits < 1 {
		t.Errorf("%d sends in %d commits, want %d in some", c.Sends, c.Commits, sends)
	}
	seen := 0
	err = load.ReadCommitted(ctx, brokers, topics.Sends, func(r *kgo.Record) {
		seen++
		if len(r.Value) < 400 || len(r.Value) > 700 || len(r.Key) == 0 {
			t.Errorf("a send of %d bytes with key %q", len(r.Value), r.Key)
		}
	})
	if err != nil || seen != sends {
		t.Errorf("%d sends visible (%v), want %d", seen, err, sends)
	}
	// The offsets were committed with the sends.
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	offsets, err := kadm.NewClient(cl).FetchOffsets(ctx, tag)
	if err != nil {
		t.Fatal(err)
	}
	var committed int64
	offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
	if committed != int64(cfg.Events) {
		t.Errorf("offsets committed up to %d records, want %d", committed, cfg.Events)
	}
}

// A broken record is an error with its place, not a figure that is too good.
func TestBrokenRecord(t *testing.T) {
	d := decoder{result: &Result{Types: map[string]int64{}}}
	for _, value := range []string{`{"id":"1"`, `{"id":"1","type":"search","user":"u"}`, `[]`} {
		if _, _, _, _, err := d.take([]byte(value)); err == nil {
			t.Errorf("%s was taken for an event", value)
		}
	}
	id, kind, user, at, err := d.take([]byte(`{"id":"1","type":"search","user":"u","time":"t"}`))
	if got := fmt.Sprintf("%s %s %s %s", id, kind, user, at); err != nil || got != "1 search u t" {
		t.Errorf("decoded %q (%v)", got, err)
	}
}
