package processor_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/sim"
	"github.com/nudged/nudged/rules/sim/naive"
	"github.com/nudged/nudged/sinks"
)

const inputTopic = "clicks"

func inputPartition(n int32) processor.TopicPartition {
	return processor.TopicPartition{Topic: inputTopic, Partition: n}
}

// plainLayout puts the records of input partition p into partition p mod n.
type plainLayout struct{ sends, decisions int32 }

func (l plainLayout) Send(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: "sends", Partition: input % l.sends, Key: user, Value: value}
}

func (l plainLayout) Decision(input int32, user, value []byte) sinks.Record {
	return sinks.Record{Topic: "decisions", Partition: input % l.decisions, Key: user, Value: value}
}

func (l plainLayout) DeadLetter(topic string, partition int32, offset int64, reason string, key, value []byte, headers []sinks.Header) sinks.Record {
	return sinks.Record{Topic: "dead", Key: key, Value: value, Headers: append(slices.Clip(headers),
		sinks.Header{Key: "where", Value: fmt.Appendf(nil, "%s/%d/%d", topic, partition, offset)},
		sinks.Header{Key: "why", Value: []byte(reason)})}
}

func (l plainLayout) IsSend(r sinks.Record) bool { return r.Topic == "sends" }

// message is what a consumer sees of a send or decision.
type message struct{ topic, key, value string }

func (m message) String() string { return m.topic + " " + m.value }

// scenario is an input topic, and what the rules make of it by the oracle.
type scenario struct {
	set    *rules.Set
	level  processor.DecisionLevel
	oracle *sim.Sim
	input  [][]processor.Record // by partition
	events [][]*rules.Event     // what the records are, nil where they are none
	users  [][]string           // by partition
	want   [][]message          // by partition, in order
	dead   [][]int64            // offsets of the dead letters, by partition
	orders []map[int64]string   // to forget a user: by partition and offset

	decoder  func() processor.Decoder // of the records' values
	maxEvent int                      // bytes of a value
	sweeps   bool                     // schedules start something: users come in any order
	// Of rules with the whole language: what the naive interpreter says, and their text.
	naive *naive.Run
	drawn []naive.Event
	text  string
}

const (
	maxAhead    = 5 * mins
	maxEvent    = 300 // bytes
	refusedSize = "the value has"
)

func newScenario(set *rules.Set, level processor.DecisionLevel, partitions int) *scenario {
	sc := &scenario{
		set: set, level: level, input: make([][]processor.Record, partitions), events: make([][]*rules.Event, partitions),
		users: make([][]string, partitions), want: make([][]message, partitions), dead: make([][]int64, partitions),
		decoder: func() processor.Decoder { return textDecoder{} }, maxEvent: maxEvent,
		orders: make([]map[int64]string, partitions),
	}
	for p := range sc.orders {
		sc.orders[p] = map[int64]string{}
	}
	origin := sinks.Origin{Topic: inputTopic, RulesVersion: set.Version}
	sc.oracle = sim.New(set, partitions, level == processor.DecisionsAll, func(p int32, d *rules.Decision) {
		if d.Outcome == rules.Sent {
			sc.want[p] = append(sc.want[p], message{"sends", d.User, string(sinks.AppendCommand(nil, d, origin))})
		}
		if d.Outcome != rules.Forgotten && level == processor.DecisionsNone || d.Verbose && level != processor.DecisionsAll {
			return
		}
		sc.want[p] = append(sc.want[p], message{"decisions", d.User, string(sinks.AppendDecision(nil, d, origin))})
	})
	return sc
}

// add appends the event to its partition and shows it to the oracle. ahead is by
// how much its time is ahead of the record's timestamp.
func (sc *scenario) add(e event, ahead int64) {
	p := sc.oracle.PartitionOf(e.user)
	rec := processor.Record{Offset: int64(len(sc.input[p])), Timestamp: e.time - ahead, Key: []byte(e.user), Value: e.value()}
	ev := e.decoded()
	if ev.ID == "" {
		ev.ID = processor.DeriveID(inputPartition(p), rec.Offset, rec.Value)
	}
	if ahead > maxAhead && rec.Timestamp > 0 {
		ev.Time = rec.Timestamp
	}
	sc.append(rec, ev)
}

// append appends a record, and shows the event that it is to the oracle.
func (sc *scenario) append(rec processor.Record, ev *rules.Event) {
	p := sc.oracle.PartitionOf(ev.User)
	sc.input[p] = append(sc.input[p], rec)
	if !slices.Contains(sc.users[p], ev.User) {
		sc.users[p] = append(sc.users[p], ev.User)
	}
	sc.oracle.Apply(ev)
	sc.events[p] = append(sc.events[p], ev)
}

// compare says in what the visible records of a partition are not what they have
// to be, nil if in nothing.
func (sc *scenario) compare(p int, got []message) error {
	want, have := sc.want[p], got
	if sc.sweeps {
		want, have = byUser(want), byUser(got)
	}
	if i := firstDifference(have, want); i >= 0 {
		return fmt.Errorf("%d records are visible, the oracle has %d; number %d is\n%s\nwant\n%s\n%s", len(got), len(want), i, at(have, i), at(want, i), sc.text)
	}
	if sc.naive == nil {
		return nil
	}
	return sc.compareNaive(p, got)
}

// forget appends an order to forget the user, given at the time.
func (sc *scenario) forget(user string, at int64) {
	p := sc.oracle.PartitionOf(user)
	offset := int64(len(sc.input[p]))
	sc.input[p] = append(sc.input[p], processor.Record{Offset: offset, Timestamp: at, Key: []byte(user), Headers: []sinks.Header{{Key: processor.ForgetHeader}}})
	sc.events[p] = append(sc.events[p], nil)
	sc.orders[p][offset] = user
	if !slices.Contains(sc.users[p], user) {
		sc.users[p] = append(sc.users[p], user)
	}
	sc.oracle.Forget(user, at)
}

// forgotten lists the users of whom nothing came after they were forgotten.
func (sc *scenario) forgotten(p int) []string {
	var users []string
	for offset, user := range sc.orders[p] {
		later := slices.ContainsFunc(sc.events[p][offset:], func(ev *rules.Event) bool { return ev != nil && ev.User == user })
		if !later && !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	return users
}

// filler appends a record that is no event: a control record, or one that
// becomes a dead letter. The oracle only counts its offset.
func (sc *scenario) filler(d dice, p int32) {
	if len(sc.users[p]) == 0 {
		return
	}
	rec := processor.Record{Offset: int64(len(sc.input[p])), Key: []byte("key"), Timestamp: 1}
	switch d(4) {
	case 0:
		rec.Control, rec.Value = true, []byte{0, 0, 0, 0}
	case 1:
		rec.Value = []byte("broken" + strconv.Itoa(d(1000)))
	case 2:
		rec.Value = []byte("a|user-0|5|id|1|" + strings.Repeat("1", maxEvent))
	}
	if !rec.Control {
		sc.dead[p] = append(sc.dead[p], rec.Offset)
	}
	sc.input[p] = append(sc.input[p], rec)
	sc.events[p] = append(sc.events[p], nil)
	sc.oracle.Apply(&rules.Event{Type: "u", User: sc.users[p][0]})
}

// randomScenario draws rules and events.
func randomScenario(d dice, partitions, users, events int) *scenario {
	return randomScenarioAt(d, pick(d, processor.DecisionsFires, processor.DecisionsAll, processor.DecisionsNone), partitions, users, events)
}

func randomScenarioAt(d dice, level processor.DecisionLevel, partitions, users, events int) *scenario {
	waits, w := anyWait, &walk{d: d, users: users, far: pick(d, 0, 5, 30), near: 50}
	if d.chance(40) {
		waits, w.far, w.near = shortWait, 0, 98
	}
	// The first minute of time counts too.
	w.clock = pick[int64](d, 0, 1_700_000_000_000)
	sc := newScenario(randomSet(d, waits), level, partitions)
	sc.fill(d, w, events)
	return sc
}

// fill adds events, with some records between them that are none.
func (sc *scenario) fill(d dice, w *walk, events int) {
	for range events {
		e := w.next()
		if d.chance(3) {
			e.id = ""
		}
		ahead := int64(0)
		if d.chance(4) {
			ahead = pick(d, maxAhead, maxAhead+1, 3*hour)
		}
		sc.add(e, ahead)
		if d.chance(4) {
			sc.forget(fmt.Sprintf("user-%d", d(w.users)), w.clock)
		}
		if d.chance(5) {
			sc.filler(d, int32(d(len(sc.input))))
		}
	}
}

// pending is how many instances wait by the oracle.
func (sc *scenario) pending() int { return sc.oracle.Pending() }

// settings are those of a process on the event clock that works on the scenario.
func (sc *scenario) settings(store processor.Store, claimer string) processor.Settings {
	return processor.Settings{
		Group: "group", Claimer: claimer, Set: sc.set, Store: store, Layout: plainLayout{2, 2},
		NewDecoder: sc.decoder,
		EventClock: true, MaxAhead: maxAhead, MaxEvent: sc.maxEvent, Decisions: sc.level,
		CacheBytes: 1 << 20, BatchUsers: 1000, BatchBytes: 1 << 20, OutboxLimit: 4, MaxHints: 3, HoldBytes: 1,
		Counters: &processor.Counters{},
	}
}
