// Package sim drives the rules over a stream of events on the event clock, in
// memory: backtests, rule tests, and the oracle that the live daemon is held
// against.
//
// Like Kafka it knows partitions: each has its own clock, the highest event time
// seen in it. Before an event of time t is applied everything due at or before t
// fires, on time; at the end of the input the clocks stay where they are.
//
// An occurrence of a schedule is due like a timer: when a partition's clock
// passes it, the scheduled rules are started for every user of the partition, in
// the order of their ids. At the same millisecond, timers that are due come
// first, then the schedules by priority and in the order of the file, then the
// event.
package sim

import (
	"container/heap"
	"math"
	"slices"
	"strings"

	"github.com/nudged/nudged/rules"
)

// Decided is told of every decision, in order. The decision is the callee's only
// until it returns.
type Decided func(partition int32, d *rules.Decision)

// Sim is one run. It is used by one goroutine.
type Sim struct {
	set     *rules.Set
	parts   []partition
	decided Decided
	result  rules.Result
	counts  Counts
}

// Counts says what happened to the events.
type Counts struct {
	Events, Unread, Duplicates, Missing, Mismatches, Refused int
}

type partition struct {
	clock  int64
	users  map[string]*user
	ids    []string // of users, in order; nil: to be listed anew
	due    dueHeap
	offset int64
	swept  int64 // occurrences up to here are done with
	next   int64 // none is between there and here
}

type user struct {
	state rules.State
	due   int64 // the time in the heap that counts, 0: none
}

// New returns a simulation of a topic with the given number of partitions, keyed
// by user. verbose asks for the decisions of "decisions: all".
func New(set *rules.Set, partitions int, verbose bool, decided Decided) *Sim {
	s := &Sim{set: set, parts: make([]partition, partitions), decided: decided}
	for i := range s.parts {
		s.parts[i].users = map[string]*user{}
	}
	s.result.Verbose = verbose
	return s
}

// PartitionOf returns the partition that Kafka's default partitioner gives a
// user.
func (s *Sim) PartitionOf(user string) int32 {
	return PartitionOf(user, len(s.parts))
}

// Apply takes in one event. Its Partition and Offset are set as they would be in
// the simulated topic.
func (s *Sim) Apply(ev *rules.Event) {
	n := s.PartitionOf(ev.User)
	p := &s.parts[n]
	ev.Partition, ev.Offset = n, p.offset
	p.offset++
	s.ApplyAt(ev)
}

// ApplyAt takes in one event that was read from a topic with as many partitions:
// its Partition and Offset stand.
func (s *Sim) ApplyAt(ev *rules.Event) {
	n := ev.Partition
	p := &s.parts[n]
	s.counts.Events++
	if !s.set.Reads(ev) {
		s.counts.Unread++
		return
	}
	if ev.Time > p.clock {
		s.advance(n, ev.Time)
	}
	u := p.users[ev.User]
	if u == nil {
		u = &user{}
		// Ids must not hold on to the memory of whole records.
		p.users[strings.Clone(ev.User)] = u
		p.ids = nil
	}
	s.step(n, u, ev.User, rules.Input{Event: ev})
	// A late event may have armed what is due already.
	s.advance(n, p.clock)
}

// Forget takes in an order to forget a user, given at the time, ms. What is known of
// the user is gone, and nothing that is pending fires.
func (s *Sim) Forget(name string, at int64) {
	n := s.PartitionOf(name)
	p := &s.parts[n]
	p.offset++
	s.ForgetAt(name, n, p.offset-1, at)
}

// ForgetAt takes in an order that was read from a topic with as many partitions.
func (s *Sim) ForgetAt(name string, n int32, offset, at int64) {
	p := &s.parts[n]
	u := p.users[name]
	if u == nil {
		u = &user{}
	}
	d := rules.Forget(&u.state, name, n, offset, at)
	delete(p.users, name)
	p.ids = nil
	s.decided(n, &d)
}

// Advance moves every partition's clock to t and fires what is due by then.
func (s *Sim) Advance(t int64) {
	for n := range s.parts {
		s.advance(int32(n), t)
	}
}

// NextDue returns when the next instance of any partition is due.
func (s *Sim) NextDue() (int64, bool) {
	best, found := int64(0), false
	for n := range s.parts {
		p := &s.parts[n]
		for len(p.due) > 0 && !p.counts(p.due[0]) {
			heap.Pop(&p.due)
		}
		if len(p.due) > 0 && (!found || p.due[0].at < best) {
			best, found = p.due[0].at, true
		}
	}
	return best, found
}

// Counts returns what happened so far.
func (s *Sim) Counts() Counts { return s.counts }

// Pending is the number of pending instances.
func (s *Sim) Pending() int {
	n := 0
	for i := range s.parts {
		for _, u := range s.parts[i].users {
			n += u.state.Pending()
		}
	}
	return n
}

// Users is the number of users with a state.
func (s *Sim) Users() int {
	n := 0
	for i := range s.parts {
		n += len(s.parts[i].users)
	}
	return n
}

// advance moves the partition's clock to t: what is due by then fires, and what
// is scheduled by then starts, in the order of time.
func (s *Sim) advance(n int32, t int64) {
	p := &s.parts[n]
	for len(s.set.Scheduled()) > 0 && t > p.swept {
		if len(p.users) == 0 || t < p.next {
			p.swept = t // nobody to start anything for, or nothing to start
			break
		}
		occurring, at, ok := s.set.NextSchedule(p.swept)
		if !ok {
			at = math.MaxInt64
		}
		if p.next = at; at > t {
			continue
		}
		s.fire(n, at)
		s.sweep(n, occurring, at)
		p.swept, p.next = at, 0
	}
	s.fire(n, t)
}

// counts says that the user's instance has not moved since, and was not forgotten.
func (p *partition) counts(e dueEntry) bool {
	u := p.users[e.user]
	return u != nil && u.due == e.at
}

// fire fires what is due by t.
func (s *Sim) fire(n int32, t int64) {
	p := &s.parts[n]
	for len(p.due) > 0 && p.due[0].at <= t {
		e := heap.Pop(&p.due).(dueEntry)
		if !p.counts(e) {
			continue
		}
		u := p.users[e.user]
		u.due = 0
		p.clock = max(p.clock, e.at)
		s.step(n, u, e.user, rules.Input{Until: e.at})
	}
	p.clock = max(p.clock, t)
}

// sweep starts what occurs at the time for every user.
func (s *Sim) sweep(n int32, occurring []*rules.Rule, at int64) {
	p := &s.parts[n]
	if p.ids == nil {
		for id := range p.users {
			p.ids = append(p.ids, id)
		}
		slices.Sort(p.ids)
	}
	for _, r := range occurring {
		for _, id := range p.ids {
			s.step(n, p.users[id], id, rules.Input{Sweep: r, Until: at, Partition: n})
		}
	}
}

func (s *Sim) step(n int32, u *user, id string, in rules.Input) {
	s.result.Reset()
	s.set.Step(&u.state, id, in, &s.result)
	s.counts.Missing += s.result.Missing
	s.counts.Mismatches += s.result.Mismatches
	s.counts.Refused += s.result.Refused
	if s.result.Duplicate {
		s.counts.Duplicates++
	}
	for i := range s.result.Decisions {
		s.decided(n, &s.result.Decisions[i])
	}
	due, ok := u.state.NextDue(s.set)
	switch {
	case !ok:
		u.due = 0
	case due != u.due:
		u.due = due
		heap.Push(&s.parts[n].due, dueEntry{due, strings.Clone(id)})
	}
}

type dueEntry struct {
	at   int64
	user string
}

type dueHeap []dueEntry

func (h dueHeap) Len() int { return len(h) }
func (h dueHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].user < h[j].user
}
func (h dueHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)   { *h = append(*h, x.(dueEntry)) }
func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
