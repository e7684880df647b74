package naive

import "slices"

// Options say how a run goes.
type Options struct {
	Partitions int
	Verbose    bool // also what only "decisions: all" writes
	Pinned     map[string]string
	NoHoldout  bool
	// Wall is a run on the wall clock: events do not move the clock, Clock does.
	Wall bool
}

// Run carries a spec out over a stream of events.
type Run struct {
	spec       *Spec
	options    Options
	partitions []*partition
	// Decisions are what was decided so far, in order.
	Decisions []Decision
	// Unread counts the events of types that the spec does not name, Duplicates
	// the repeated ids, Mismatches the attribute values of another type.
	Unread, Duplicates, Mismatches int
}

type partition struct {
	clock  int64
	offset int64
	users  map[string]*user
	order  []*user
}

// New returns a run that nothing has happened in.
func New(s *Spec, o Options) *Run {
	r := &Run{spec: s, options: o}
	for range max(o.Partitions, 1) {
		r.partitions = append(r.partitions, &partition{users: map[string]*user{}})
	}
	return r
}

// Edit puts other rules into force. Attributes and metrics have to be the same.
func (r *Run) Edit(s *Spec) { r.spec = s }

// Apply takes in the next event of the stream.
func (r *Run) Apply(e Event) {
	e.Partition = PartitionOf(e.User, len(r.partitions))
	p := r.partitions[e.Partition]
	e.Offset = p.offset
	p.offset++
	if !slices.ContainsFunc(r.spec.types(), func(on []string) bool { return listed(on, e.Type) }) {
		r.Unread++
		return
	}
	if !r.options.Wall {
		r.advance(p, e.Time)
	}
	u := p.users[e.User]
	if u == nil {
		u = &user{run: r, name: e.User, partition: e.Partition, started: map[string]int64{}}
		p.users[e.User] = u
		p.order = append(p.order, u)
	}
	u.take(&e)
	if !r.options.Wall {
		u.fireDue(p.clock, 0)
	}
}

// Advance moves the event clock of every partition to t.
func (r *Run) Advance(t int64) {
	for _, p := range r.partitions {
		r.advance(p, t)
	}
}

// Clock fires what is due by until in every partition; the wall clock reads
// reading.
func (r *Run) Clock(until, reading int64) {
	for n := range r.partitions {
		r.ClockOf(int32(n), until, reading)
	}
}

// ClockOf is Clock of one partition.
func (r *Run) ClockOf(n int32, until, reading int64) {
	p := r.partitions[n]
	for _, u := range p.order {
		u.fireDue(until, reading)
	}
	p.clock = max(p.clock, until)
}

// Pass moves the wall clock of one partition from one reading to the next, as a
// program does that looks at it only then: what is due fires, and of each schedule
// the latest occurrence between is started for everybody.
func (r *Run) Pass(n int32, from, to int64) {
	all := r.occurrences(from, to)
	for i, o := range all {
		r.ClockOf(n, o.at, to)
		if slices.ContainsFunc(all[i+1:], func(later occurrence) bool { return later.rule == o.rule }) {
			continue
		}
		for _, u := range r.partitions[n].order {
			u.sweep(o.rule, o.at, to)
		}
	}
	r.ClockOf(n, to, to)
}

// Sweep starts the scheduled rule, whose occurrence is at the time given, for
// one user on the wall clock, which reads reading.
func (r *Run) Sweep(user, rule string, occurrence, reading int64) {
	u, scheduled := r.partitions[PartitionOf(user, len(r.partitions))].users[user], r.spec.rule(rule)
	if u != nil && scheduled != nil {
		u.sweep(scheduled, occurrence, reading)
	}
}

// Pending is the number of instances that are pending.
func (r *Run) Pending() int {
	n := 0
	for _, p := range r.partitions {
		for _, u := range p.order {
			n += len(u.pending)
		}
	}
	return n
}

// NextDue is when the next pending instance is due to decide something.
func (r *Run) NextDue() (int64, bool) {
	best, found := int64(0), false
	for _, p := range r.partitions {
		for _, u := range p.order {
			for _, in := range u.pending {
				if due, ok := u.decides(in); ok && (!found || due < best) {
					best, found = due, true
				}
			}
		}
	}
	return best, found
}

// advance moves the event clock of a partition to t: what is due fires, and
// schedules start, each at its own time.
func (r *Run) advance(p *partition, t int64) {
	if len(p.users) > 0 {
		for _, o := range r.occurrences(p.clock, t) {
			r.fireAll(p, o.at)
			p.clock = max(p.clock, o.at)
			for _, u := range p.order {
				u.sweep(o.rule, o.at, 0)
			}
		}
		r.fireAll(p, t)
	}
	p.clock = max(p.clock, t)
}

func (r *Run) fireAll(p *partition, t int64) {
	for _, u := range p.order {
		u.fireDue(t, 0)
	}
}

func (r *Run) metric(name string) *Metric {
	i := slices.IndexFunc(r.spec.Metrics, func(m Metric) bool { return m.Name == name })
	return &r.spec.Metrics[i]
}
