package rules

import (
	"slices"
)

// State is what is known of one user. It is changed by Step alone and stored as
// the bytes of Append. The zero State is that of a user never seen.
type State struct {
	newest    int64  // time of the newest event
	hint      int64  // due time of the user's timer index entry; 0: none
	recent    []byte // ids of recent events, oldest first, idBytes each
	attrs     []attrState
	metrics   []metricState
	sent      []lastSend
	instances []Instance

	buf []byte // what decoded strings point into
}

type attrState struct {
	ID    ID
	Value Value
}

// metricState is one metric: a list of points, oldest first. A Last has one.
type metricState struct {
	id     ID
	kind   MetricKind
	keyed  bool
	points []point
}

// point is n occurrences, the latest of them at t. An exact point has n = 1. key
// is 48 bits of the hash of a keyed metric's value.
type point struct {
	t   int64
	n   int64
	key uint64
}

type lastSend struct {
	rule ID
	t    int64
}

// Trigger is what an instance keeps of the event that started it.
type Trigger struct {
	ID        string
	typeID    ID     // 0: typ says
	typ       string // only of types that no rule names
	Time      int64
	Partition int32
	Offset    int64
	Fields    []TriggerField
}

// TriggerField is one kept field.
type TriggerField struct {
	ID    ID
	Value Value
}

// Instance is one pending run of a rule for a user.
type Instance struct {
	rule    ID
	Key     string
	Step    int
	Due     int64
	Trigger Trigger
}

// Reset empties the state for reuse, keeping its memory.
func (st *State) Reset() {
	*st = State{
		recent:    st.recent[:0],
		attrs:     st.attrs[:0],
		metrics:   st.metrics[:0],
		sent:      st.sent[:0],
		instances: st.instances[:0],
		buf:       st.buf[:0],
	}
}

// Newest is the time of the user's newest event, 0 if there was none.
func (st *State) Newest() int64 { return st.newest }

// Pending is the number of pending instances.
func (st *State) Pending() int { return len(st.instances) }

// NextDue returns when the next instance decides something by the clock, false if
// none will. It looks ahead through transitions that decide nothing, under the
// rules of the set.
func (st *State) NextDue(_ *Set) (int64, bool) {
	due, ok := int64(0), false
	for i := range st.instances {
		if d := st.instances[i].Due; !ok || d < due {
			due, ok = d, true
		}
	}
	return due, ok
}

// TimerHint returns the due time under which the timer index lists the user, 0
// if it does not. An entry may be older than what is pending now: it is only a
// hint to look at the user by then.
func (st *State) TimerHint() int64 { return st.hint }

// SetTimerHint records that the timer index lists the user at due.
func (st *State) SetTimerHint(due int64) { st.hint = due }

// Instances returns what is pending, for telling people about it.
func (st *State) Instances() []Instance { return st.instances }

// RuleName returns the name of the instance's rule.
func (in *Instance) RuleName(s *Set) string { return s.name(in.rule) }

// Type returns the type of the triggering event.
func (t *Trigger) Type(s *Set) string {
	if t.typeID != 0 {
		return s.name(t.typeID)
	}
	return t.typ
}

func (st *State) metric(m *Metric) *metricState {
	for i := range st.metrics {
		if ms := &st.metrics[i]; ms.id == m.ID && ms.is(m) {
			return ms
		}
	}
	return nil
}

// is says that the state was kept for a metric of this form.
func (ms *metricState) is(m *Metric) bool { return ms.kind == m.Kind && ms.keyed == m.Keyed }

// metricFor returns the metric's state, made if it is not there. A metric that
// was edited to another kind starts anew.
func (st *State) metricFor(m *Metric) *metricState {
	for i := range st.metrics {
		ms := &st.metrics[i]
		if ms.id != m.ID {
			continue
		}
		if !ms.is(m) {
			ms.kind, ms.keyed, ms.points = m.Kind, m.Keyed, ms.points[:0]
		}
		return ms
	}
	n := len(st.metrics)
	if n < cap(st.metrics) {
		st.metrics = st.metrics[:n+1]
		ms := &st.metrics[n]
		ms.id, ms.kind, ms.keyed, ms.points = m.ID, m.Kind, m.Keyed, ms.points[:0]
		return ms
	}
	st.metrics = append(st.metrics, metricState{id: m.ID, kind: m.Kind, keyed: m.Keyed})
	return &st.metrics[n]
}

// idBytes is how much of the hash of an event id or of a key is kept.
const idBytes = 6

// remember reports whether the event id is among the recent ones, and takes it
// in if not.
func (st *State) remember(h uint64, limit int) (seen bool) {
	for i := 0; i+idBytes <= len(st.recent); i += idBytes {
		if uint48(st.recent[i:]) == h {
			return true
		}
	}
	if over := len(st.recent) - (limit-1)*idBytes; over > 0 {
		st.recent = append(st.recent[:0], st.recent[over:]...)
	}
	st.recent = appendUint48(st.recent, h)
	return false
}

func (st *State) lastSent(rule ID) (int64, bool) {
	for i := range st.sent {
		if st.sent[i].rule == rule {
			return st.sent[i].t, true
		}
	}
	return 0, false
}

func (st *State) setLastSent(rule ID, t int64) {
	for i := range st.sent {
		if st.sent[i].rule == rule {
			st.sent[i].t = max(st.sent[i].t, t)
			return
		}
	}
	st.sent = append(st.sent, lastSend{rule, t})
}

func (st *State) find(rule ID, key string) *Instance {
	if i := st.indexOf(rule, key); i >= 0 {
		return &st.instances[i]
	}
	return nil
}

func (st *State) indexOf(rule ID, key string) int {
	return slices.IndexFunc(st.instances, func(in Instance) bool { return in.rule == rule && in.Key == key })
}

// remove takes an instance out. The memory that it leaves at the end is not
// shared with any that stays.
func (st *State) remove(i int) {
	st.instances = slices.Delete(st.instances, i, i+1)
}
