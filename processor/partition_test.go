package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/memory"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/sinks"
)

// theRules makes a set of the rules, named as they come.
func theRules(list ...*rules.Rule) *rules.Set {
	s := &rules.Set{Fields: []string{"x", "k"}, Version: "sha256:given", Rules: list}
	for i, r := range list {
		if r.Name == "" {
			r.Name = fmt.Sprintf("rule_%d", i)
		}
		r.TriggerSlots = []int{slotX, slotK}
	}
	if err := s.Index(); err != nil {
		panic(err)
	}
	return s
}

// after is a rule that waits for so many ms after an event of type on.
func after(wait int64, on string) *rules.Rule {
	return &rules.Rule{On: []string{on}, Program: rules.After(wait, rules.Send{Channel: "push"})}
}

// atOnce is a rule that sends at an event of type on.
func atOnce(on string) *rules.Rule {
	return &rules.Rule{On: []string{on}, Program: rules.AtOnce(rules.Send{Channel: "push"})}
}

// eventAt is an event with an id of its own.
func eventAt(time int64, typ, user string) event {
	return event{typ: typ, user: user, time: time, id: fmt.Sprintf("%s-%d-%s", typ, time, user)}
}

// one is a scenario with a single partition and these events.
func one(set *rules.Set, events ...event) *scenario {
	sc := newScenario(set, processor.DecisionsFires, 1)
	for _, e := range events {
		sc.add(e, 0)
	}
	return sc
}

// told lists the visible decisions of partition 0 as "rule user outcome fired".
func (s *stand) told() []string {
	_, messages := s.log.records(inputPartition(0))
	var out []string
	for _, m := range messages {
		if m.topic == "decisions" {
			out = append(out, strings.Join([]string{field1(m.value, "rule"), field1(m.value, "user"), field1(m.value, "decision"), field1(m.value, "fired")}, " "))
		}
	}
	return out
}

// field1 is the first text of that name in the JSON.
func field1(json, name string) string {
	_, rest, _ := strings.Cut(json, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func expectTold(t *testing.T, s *stand, want ...string) {
	t.Helper()
	if got := s.told(); !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// One bad record after the other is set aside with its reason, and the partition
// goes on; control records only take up their offsets.
func TestBadRecordsAreSetAside(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	value := func(user string) []byte { return eventAt(10*sec, "a", user).value() }
	recs := []processor.Record{
		{Offset: 0, Value: value("before")},
		{Offset: 1, Key: []byte("k1"), Value: []byte("no event"), Headers: []sinks.Header{{Key: "trace", Value: []byte("7")}}},
		{Offset: 2, Key: []byte("k2")},
		{Offset: 3, Value: []byte{}},
		{Offset: 4, Key: []byte("k4"), Value: slices.Concat([]byte("a|u|5|i|1|"), make([]byte, maxEvent))},
		{Offset: 5, Control: true, Value: []byte{0, 0, 0, 1}},
		{Offset: 9, Value: value("after")}, // compacted away: 6 to 8
	}
	sc.input[0], sc.dead[0] = recs, []int64{1, 2, 3, 4}
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	s.consume(part, recs)
	if part.Offset() != 10 {
		t.Errorf("next offset %d, want 10", part.Offset())
	}
	s.flush(part)
	s.publish()
	expectTold(t, s, "rule_0 before sent 1970-01-01T00:00:10Z", "rule_0 after sent 1970-01-01T00:00:10Z")
	want := []string{
		"1: not an event", "2: the record has no value", "3: not an event",
		fmt.Sprintf("4: the value has %d bytes, at most %d are taken (max_event_bytes)", len(recs[4].Value), maxEvent),
	}
	if got := s.log.deadLetters(inputPartition(0)); !slices.Equal(got, want) {
		t.Errorf("dead letters\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, r := range s.log.visible {
		if header(r, "where") == "clicks/0/1" && (string(r.Key) != "k1" || string(r.Value) != "no event" || header(r, "trace") != "7") {
			t.Errorf("the dead letter is not the original record: %+v", r)
		}
	}
	c := s.cfg.Counters
	if c.DeadLetters.Load() != 4 || c.Events.Load() != 2 {
		t.Errorf("%d dead letters and %d events counted, want 4 and 2", c.DeadLetters.Load(), c.Events.Load())
	}
	k, _ := s.log.position(inputPartition(0))
	if k.Offset != 10 || k.Seq != 1 {
		t.Errorf("K is %+v, want offset 10 and batch 1", k)
	}
}

// Dead letters alone are a batch too, though one that tells nothing of decisions.
func TestDeadLettersAloneAreNoEvidence(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	sc.input[0] = []processor.Record{{Offset: 0, Value: []byte("broken")}, {Offset: 1, Value: eventAt(sec, "a", "u").value()}}
	sc.dead[0] = []int64{0}
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	for i, last := range []int64{0, 2} {
		s.consume(part, sc.input[0][i:i+1])
		s.flush(part)
		s.publish()
		if k, _ := s.log.position(inputPartition(0)); k.Seq != int64(i+1) || k.Last != last {
			t.Errorf("after batch %d K is %+v, want the newest with records %d", i+1, k, last)
		}
	}
}

func TestRecordsThatWereAppliedArePassedOver(t *testing.T) {
	sc := one(theRules(atOnce("a")), eventAt(1, "a", "u"), eventAt(2, "a", "u"), eventAt(3, "a", "u"))
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	for _, to := range []int64{2, 2, 1, 3, 3} {
		s.consume(part, sc.input[0][:to])
		s.flush(part)
	}
	s.publish()
	checkOutcome(t, sc, s.log, s.store)
	if n := s.cfg.Counters.Events.Load(); n != 3 {
		t.Errorf("%d events were applied, want 3", n)
	}
	if n := s.cfg.Counters.Duplicates.Load(); n != 0 {
		t.Errorf("%d events were told apart by their ids only", n)
	}
}

// An event time beyond max_ahead is the record's time instead; one within is
// left, and so is any if the record has no time.
func TestTimesAheadArePulledBack(t *testing.T) {
	sc := one(theRules(atOnce("a")))
	base := 100 * hour
	for i, c := range []struct{ timestamp, time int64 }{
		{base, base + maxAhead}, {base, base + maxAhead + 1}, {base, base - hour}, {0, base + hour},
	} {
		e := eventAt(c.time, "a", fmt.Sprint("u", i))
		sc.input[0] = append(sc.input[0], processor.Record{Offset: int64(i), Timestamp: c.timestamp, Value: e.value()})
	}
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.flush(part)
	s.publish()
	expectTold(t, s, "rule_0 u0 sent 1970-01-05T04:05:00Z", "rule_0 u1 sent 1970-01-05T04:00:00Z",
		"rule_0 u2 sent 1970-01-05T03:00:00Z", "rule_0 u3 sent 1970-01-05T05:00:00Z")
	if n := s.cfg.Counters.PulledBack.Load(); n != 1 {
		t.Errorf("%d times pulled back, want 1", n)
	}
}

// What no rule reads costs no look-up, and does not move the clock.
func TestUnreadTypesTouchNothing(t *testing.T) {
	sc := one(theRules(after(10*sec, "a")), eventAt(sec, "a", "u"))
	s := newStand(t, sc, nil)
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0])
	s.flush(part)
	part = s.claim(inputPartition(0)) // it knows no states now
	sc.add(eventAt(hour, "other", "u"), 0)
	s.consume(part, sc.input[0])
	if part.Clock() != sec || part.Offset() != 2 {
		t.Errorf("clock %d, offset %d, want 1000 and 2", part.Clock(), part.Offset())
	}
	s.flush(part)
	s.publish()
	c := s.cfg.Counters
	if c.Unread.Load() != 1 || c.Loaded.Load() != 0 || c.Events.Load() != 2 {
		t.Errorf("%d unread, %d users loaded, %d events, want 1, 0, 2", c.Unread.Load(), c.Loaded.Load(), c.Events.Load())
	}
	expectTold(t, s)
}

// The id is part of what consumers dedupe by: it must not change.
func TestDeriveID(t *testing.T) {
	id := processor.DeriveID(processor.TopicPartition{Topic: "clicks", Partition: 3}, 41, []byte(`{"a":1}`))
	// sha256sum of clicks/3/41:{"a":1}
	if want := "35f983ea384ec32d"; id != want {
		t.Errorf("derived id %s, want %s", id, want)
	}
	seen := map[string]bool{}
	for _, tp := range []processor.TopicPartition{{Topic: "clicks", Partition: 3}, {Topic: "clicks", Partition: 4}, {Topic: "click", Partition: 3}} {
		for _, value := range []string{"", "a", "b"} {
			for offset := range int64(3) {
				seen[processor.DeriveID(tp, offset, []byte(value))] = true
			}
		}
	}
	if len(seen) != 27 {
		t.Errorf("%d ids for 27 records", len(seen))
	}
}

// A state that cannot be read stops the partition; it is not taken for none.
func TestUnreadableStateStops(t *testing.T) {
	sc := one(theRules(after(hour, "a")), eventAt(sec, "a", "u"), eventAt(2*sec, "a", "u"))
	s := newStand(t, sc, func(c *processor.Config) { c.Store = spoilt{c.Store.(*memory.Store)} })
	part := s.claim(inputPartition(0))
	s.consume(part, sc.input[0][:1])
	s.flush(part)
	part = s.claim(inputPartition(0))
	err := part.Consume(context.Background(), sc.input[0])
	var stop *processor.StopError
	if !errors.As(err, &stop) || stop.User != "u" || strings.Contains(err.Error(), `"u"`) || !strings.Contains(err.Error(), "clicks/0") || stop.Wayout == "" {
		t.Errorf("error %v, want a StopError that names the partition, and the user apart from the text", err)
	}
}

// spoilt is a store in which states have been changed by hand.
type spoilt struct{ *memory.Store }

func (s spoilt) States(ctx context.Context, tp processor.TopicPartition, at processor.Fence, users []string) ([][]byte, error) {
	blobs, err := s.Store.States(ctx, tp, at, users)
	for i := range blobs {
		blobs[i] = []byte("spoilt")
	}
	return blobs, err
}
