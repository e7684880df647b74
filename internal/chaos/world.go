package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/nudged/nudged/internal/chaos/services"
	"github.com/nudged/nudged/internal/chaos/verify"
	"github.com/nudged/nudged/internal/chaos/workload"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/rulefile"
)

// world is one deployment of nudged under test: topics, a group, processes, and
// whoever produces its events. Several share the services of a stage.
type world struct {
	stage                          *stage
	name, clock, group             string
	events, sends, decisions, dead string
	rules                          string // file
	set                            *rules.Set
	daemons                        []*daemon
	third                          *daemon // joins and leaves
	generator                      *workload.Generator
	gap                            time.Duration // between two events
	timeOf                         func(time.Time) int64
	recovered                      time.Duration // from the end of the faults until all was visible that is owed

	mu       sync.Mutex
	acked    map[int32]map[int64]int64 // when a record was known to be there, by partition and offset
	produced int
	problems []string
	steps    []span // in which a clock was ahead
}

// span is a stretch of time, ms.
type span struct{ from, to int64 }

// Numbers of partitions: those that records go to by their input partition are not
// as many as that has.
const (
	eventPartitions    = 6
	sendPartitions     = 4
	decisionPartitions = 6
	deadPartitions     = 2
)

// Event time runs faster than ours: a minute is 16 hours. It begins at a Monday.
const (
	eventSpeed = 1000
	eventStart = 1_704_067_200_000
)

// newWorld makes topics and processes; nothing runs yet.
func (s *stage) newWorld(ctx context.Context, clock string, seed uint64, processes int) (*world, error) {
	w := &world{stage: s, name: clock, clock: clock, acked: map[int32]map[int64]int64{}}
	w.group = fmt.Sprintf("chaos-%d-%s", s.round, clock)
	w.events, w.sends, w.decisions, w.dead = w.group+"-events", w.group+"-sends", w.group+"-decisions", w.group+"-dead"
	text := workload.WallRules
	w.generator, w.gap = workload.NewWall(seed, 120), 25*time.Millisecond
	w.timeOf = time.Time.UnixMilli
	if clock == "event" {
		text = workload.EventRules
		w.generator, w.gap = workload.NewEvent(seed, 100), 20*time.Millisecond
		began := time.Now()
		w.timeOf = func(t time.Time) int64 { return eventStart + eventSpeed*t.Sub(began).Milliseconds() }
	}
	w.rules = filepath.Join(s.dir, w.group+"-rules.yaml")
	if err := os.WriteFile(w.rules, text, 0o600); err != nil {
		return nil, err
	}
	var err error
	if w.set, err = rulefile.Load(w.rules); err != nil {
		return nil, err
	}
	byBroker := "LogAppendTime"
	for _, t := range []struct {
		name       string
		partitions int32
		settings   map[string]*string
	}{
		{w.events, eventPartitions, nil},
		// When the broker had it, not when a process whose clock may be wrong sent it.
		{w.sends, sendPartitions, map[string]*string{"message.timestamp.type": &byBroker}},
		{w.decisions, decisionPartitions, map[string]*string{"message.timestamp.type": &byBroker}},
		{w.dead, deadPartitions, nil},
	} {
		if _, err := s.kafka.Admin().CreateTopic(ctx, t.partitions, -1, t.settings, t.name); err != nil {
			return nil, fmt.Errorf("create topic %s: %w", t.name, err)
		}
	}
	for n := range processes + 1 {
		d, err := w.newDaemon(n + 1)
		if err != nil {
			return nil, err
		}
		if n < processes {
			w.daemons = append(w.daemons, d)
		} else {
			w.third = d
		}
	}
	return w, nil
}

func (w *world) topics() *verify.Topics {
	return &verify.Topics{Group: w.group, Events: w.events, EventParts: eventPartitions, SendParts: sendPartitions, DecisionParts: decisionPartitions}
}

// problem notes what is wrong, whatever the records say.
func (w *world) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.stage.say("PROBLEM: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, text)
}

// produce makes events until ctx ends, then waits until the cluster has them all.
func (w *world) produce(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.stage.kafka.Addresses()...), kgo.ClientID("chaos-"+w.name),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1<<20),
		kgo.UnknownTopicRetries(-1)) // a broker that has just started knows of no topic
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	defer cl.Close()
	var failed error
	tick := time.NewTicker(w.gap)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			rec := w.generator.Next(w.timeOf(now))
			cl.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: w.events, Key: []byte(rec.Key), Value: rec.Value}, func(r *kgo.Record, err error) {
				at := time.Now().UnixMilli()
				w.mu.Lock()
				defer w.mu.Unlock()
				if err != nil {
					failed = fmt.Errorf("produce to %s: %w", w.events, err)
					return
				}
				w.produced++
				if w.acked[r.Partition] == nil {
					w.acked[r.Partition] = map[int64]int64{}
				}
				w.acked[r.Partition][r.Offset] = at
			})
		}
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainPatience)
	defer cancel()
	if err := cl.Flush(flush); err != nil {
		return fmt.Errorf("produce to %s: %w", w.events, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return failed
}

// check reads all that is visible and compares.
func (w *world) check(ctx context.Context) (*verify.Findings, error) {
	all, err := w.stage.readAll(ctx, w)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	for i := range all.inputs {
		in := &all.inputs[i]
		in.Acked = w.acked[in.Partition][in.Offset]
	}
	inputs, produced := len(all.inputs), w.produced
	steps := w.steps
	w.mu.Unlock()
	var f *verify.Findings
	if w.clock == "event" {
		f = verify.EventClock(w.topics(), w.set, all.inputs, all.outputs, all.dead)
	} else {
		f = verify.WallClock(w.topics(), all.inputs, all.outputs, all.dead, func(clock int64) int64 {
			for _, s := range steps {
				// A clock that was ahead stands until ours has caught up.
				if clock >= s.from && clock <= s.to+2*maxStep.Milliseconds() {
					return maxStep.Milliseconds()
				}
			}
			return 0
		})
	}
	if inputs != produced {
		return nil, fmt.Errorf("%s holds %d records, %d were produced: the input itself is not whole", w.events, inputs, produced)
	}
	return f, nil
}

// applied says whether the group has committed up to the end of every partition.
func (w *world) applied(ctx context.Context) error {
	adm := w.stage.kafka.Admin()
	ends, err := whole(adm.ListEndOffsets(ctx, w.events))
	if err != nil {
		return err
	}
	committed, err := adm.FetchOffsets(ctx, w.group)
	if err != nil {
		return err
	}
	var behind error
	ends.Each(func(o kadm.ListedOffset) {
		if at, ok := committed.Lookup(o.Topic, o.Partition); o.Offset > 0 && (!ok || at.At < o.Offset) {
			behind = fmt.Errorf("%s/%d: committed %d of %d", o.Topic, o.Partition, at.At, o.Offset)
		}
	})
	return behind
}

// positions returns what the group has committed beside the offsets, and the ends of
// the input.
func (w *world) positions(ctx context.Context) (metadata map[int32]string, ends map[int32]int64, err error) {
	adm := w.stage.kafka.Admin()
	var listed kadm.ListedOffsets
	var committed kadm.OffsetResponses
	err = services.Eventually(ctx, drainPatience, func(ctx context.Context) (err error) {
		if listed, err = whole(adm.ListEndOffsets(ctx, w.events)); err != nil {
			return fmt.Errorf("list the ends of %s: %w", w.events, err)
		}
		if committed, err = adm.FetchOffsets(ctx, w.group); err == nil {
			err = committed.Error()
		}
		if err != nil {
			return fmt.Errorf("fetch the offsets of %s: %w", w.group, err)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	metadata, ends = map[int32]string{}, map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		ends[o.Partition] = o.Offset
		if at, ok := committed.Lookup(o.Topic, o.Partition); ok {
			metadata[o.Partition] = at.Metadata
		}
	})
	return metadata, ends, nil
}

// settled waits until all is there that is owed. What it returns is what is
// missing still when the patience is over.
func (w *world) settled(ctx context.Context) error {
	if err := services.Eventually(ctx, drainPatience, w.applied); err != nil {
		return fmt.Errorf("%s: events are left: %w", w.name, err)
	}
	limit := time.Now().Add(drainPatience)
	for {
		f, err := w.check(ctx)
		if err != nil {
			return err
		}
		if f.Lost == 0 {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s: %d are not visible %s after the last event", w.name, f.Lost, drainPatience)
		}
		w.stage.pause(3 * time.Second)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
