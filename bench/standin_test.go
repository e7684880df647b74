package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/oracle"
)

// faultVariable makes the stand-in do something wrong, so that the tests see it found.
const faultVariable = "BENCH_TEST_FAULT"

// standInConfig is what the stand-in reads of nudged's configuration. It is
// decoded strictly: a key that is not of the documented form fails the test.
type standInConfig struct {
	Kafka struct {
		Brokers []string
		Group   string
		Topics  struct {
			Events           []string
			Sends, Decisions string
			DeadLetters      string `yaml:"dead_letters"`
		}
	}
	Redis struct {
		Addrs []string
		Mode  string
	}
	Rules string
	Clock string
	HTTP  struct{ Addr string }
}

// standIn takes nudged's place in the tests of the benchmark: it sends what the
// oracle says, so it proves nothing about nudged, but that the benchmark runs,
// measures and verifies a program.
func standIn(args []string) error {
	stopAtEnd := len(args) == 4 && args[3] == "--stop-at-end"
	if len(args) < 3 || args[0] != "run" || args[1] != "--config" || len(args) == 4 != stopAtEnd {
		return fmt.Errorf("arguments %q", args)
	}
	raw, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	var cfg standInConfig
	if err := yaml.UnmarshalWithOptions(raw, &cfg, yaml.Strict()); err != nil {
		return err
	}
	if rules, err := os.ReadFile(cfg.Rules + "/rules.yaml"); err != nil || string(rules) != string(rulesFile) {
		return fmt.Errorf("rules in %s: %w", cfg.Rules, err)
	}
	if want := map[bool]string{true: "event", false: "wall"}[stopAtEnd]; cfg.Clock != want {
		return fmt.Errorf("clock %q, want %q", cfg.Clock, want)
	}
	if os.Getenv(faultVariable) == "exit" {
		return errors.New("the stand-in was told to fail")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(cfg.Kafka.Brokers...),
		kgo.ConsumeTopics(cfg.Kafka.Topics.Events...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	s := standInState{cfg: cfg, client: cl, oracle: oracle.New(), sent: map[string]bool{}, fault: os.Getenv(faultVariable)}
	if !stopAtEnd {
		go func() {
			_ = http.ListenAndServe(cfg.HTTP.Addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					http.NotFound(w, r)
				}
			}))
		}()
	}
	left := int64(-1) // until told to stop
	if stopAtEnd {
		ends, err := load.EndOffsets(ctx, cfg.Kafka.Brokers, cfg.Kafka.Topics.Events[0])
		if err != nil {
			return err
		}
		left = 0
		for _, end := range ends {
			left += end
		}
	}
	for left != 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			break
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			err = errors.Join(err, s.take(r))
			left--
		})
		if err != nil {
			return err
		}
	}
	if err := cl.Flush(context.Background()); err != nil {
		return err
	}
	return s.keep()
}

type standInState struct {
	cfg     standInConfig
	client  *kgo.Client
	oracle  *oracle.Oracle
	sent    map[string]bool
	decided oracle.Decisions
	fault   string
}

func (s *standInState) take(r *kgo.Record) error {
	var e struct{ ID, Type, User, Time string }
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, e.Time)
	if err != nil {
		return err
	}
	s.oracle.Add(oracle.Event{ID: e.ID, Type: e.Type, User: e.User, TimeMS: at.UnixMilli(), Partition: r.Partition})
	res := s.oracle.Result()
	for id, send := range res.Sends {
		if !s.sent[id] {
			s.send(send)
			s.sent[id] = true
		}
	}
	for _, d := range []struct {
		name        string
		now, before int
	}{
		{"sent", res.Decisions.Sent, s.decided.Sent},
		{"control", res.Decisions.Control, s.decided.Control},
		{"cooldown", res.Decisions.Cooldown, s.decided.Cooldown},
		{"cancelled", res.Decisions.Cancelled, s.decided.Cancelled},
	} {
		for range d.now - d.before {
			s.produce(s.cfg.Kafka.Topics.Decisions, e.User, `{"decision":"`+d.name+`"}`)
		}
	}
	s.decided = res.Decisions
	return nil
}

func (s *standInState) send(o oracle.Send) {
	if s.fault == "missing" && len(s.sent) == 0 {
		return
	}
	value := fmt.Sprintf(`{"command_id":%q,"rule":%q,"user":%q,"step":0,"experiment":%q,"arm":%q,"trigger":{"id":%q,"partition":%d},"due":%q}`,
		o.CommandID, o.Rule, o.User, o.Experiment, o.Arm, o.TriggerID, o.Partition, time.UnixMilli(o.DueMS).UTC().Format(time.RFC3339Nano))
	s.produce(s.cfg.Kafka.Topics.Sends, o.User, value)
	if s.fault == "twice" && len(s.sent) == 0 {
		s.produce(s.cfg.Kafka.Topics.Sends, o.User, value)
	}
}

func (s *standInState) produce(topic, user, value string) {
	// Flush at the end tells whether the broker took it; the verdict, if not.
	s.client.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte(user), Value: []byte(value)}, nil)
}

// keep leaves in Redis what nudged would, in kind.
func (s *standInState) keep() error {
	rdb := redis.NewClient(&redis.Options{Addr: s.cfg.Redis.Addrs[0]})
	defer rdb.Close()
	tag := "nudged:{" + s.cfg.Kafka.Group + ":" + strings.Join(s.cfg.Kafka.Topics.Events, "") + ":0}"
	res := s.oracle.Result()
	for i := range res.Users {
		if err := rdb.HSet(context.Background(), tag+":u:0", fmt.Sprint(i), "state").Err(); err != nil {
			return err
		}
	}
	return rdb.RPush(context.Background(), tag+":t:1", "timer").Err()
}
