package rules

import (
	"slices"
)

// State is what is known of one user. It is changed by Step alone and stored as
// the bytes of Append. The zero State is that of a user never seen.
type State struct {
	newest    int64   // time of the newest event
	hints     []int64 // due times of the user's timer index entries, the next one last
	recent    []byte  // ids of recent events, oldest first, idBytes each
	attrs     []attrState
	metrics   []metricState
	sent      []ruleTime // last send of rules with a cooldown
	sends     []sendLog  // what caps count
	exposures []exposure
	swept     []ruleTime // last occurrence of schedules that started a run
	instances []Instance

	buf []byte // what decoded strings point into
}

type attrState struct {
	ID    ID
	Value Value
}

// metricState is one metric: a list of points, oldest first. A Last, First and
// Latest have one.
type metricState struct {
	id     ID
	kind   MetricKind
	keyed  bool
	points []point
	value  Value // of a Latest
}

// point is n occurrences, the latest of them at t. An exact point has n = 1. key
// is 48 bits of the hash of a keyed metric's value, or of what a Distinct tells
// apart; of a Sum it holds the bits of the sum.
type point struct {
	t   int64
	n   int64
	key uint64
}

// ruleTime is a moment in the life of a rule.
type ruleTime struct {
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
	Trace     string // as the event had it
	Fields    []TriggerField
}

// TriggerField is one kept field.
type TriggerField struct {
	ID    ID
	Value Value
}

// Instance is one pending run of a rule for a user.
type Instance struct {
	rule ID
	Key  string
	// Pos is the op of the rule's program at which the instance stands, Due when
	// it goes on from there.
	Pos     int
	Due     int64
	Trigger Trigger
	// sent says that the run has sent something: its own sends start a cooldown
	// that does not hold back the later ones.
	sent bool
	run  assignment
}

// assignment is the arm that a run was assigned. It is kept while the
// experiment and its phase stay the same.
type assignment struct {
	experiment ID
	phase      int
	arm        string // "" if none was
}

// over marks an instance that has ended within the Step at hand.
const over = -1

// Reset empties the state for reuse, keeping its memory.
func (st *State) Reset() {
	*st = State{
		hints:     st.hints[:0],
		recent:    st.recent[:0],
		attrs:     st.attrs[:0],
		metrics:   st.metrics[:0],
		sent:      st.sent[:0],
		sends:     st.sends[:0],
		exposures: st.exposures[:0],
		swept:     st.swept[:0],
		instances: st.instances[:0],
		buf:       st.buf[:0],
	}
}

// Newest is the time of the user's newest event, 0 if there was none.
func (st *State) Newest() int64 { return st.newest }

// Pending is the number of pending instances.
func (st *State) Pending() int { return len(st.instances) }

// maxTimerHints is how many index entries a state knows of. Of more than that the
// last is forgotten: it comes up in vain.
const maxTimerHints = 8

// TimerHint returns the due time of the next timer index entry that lists the
// user, 0 if none does. An entry may be older than what is pending now: it is only
// a hint to look at the user by then.
func (st *State) TimerHint() int64 {
	if n := len(st.hints); n > 0 {
		return st.hints[n-1]
	}
	return 0
}

// TimerHints is how many timer index entries list the user, as far as known.
func (st *State) TimerHints() int { return len(st.hints) }

// AddTimerHint records that the timer index lists the user at due, which is
// before TimerHint if there is one. The later entries will do again once this one
// has come up: so that being armed over and over does not fill the index.
func (st *State) AddTimerHint(due int64) {
	if len(st.hints) == maxTimerHints {
		st.hints = append(st.hints[:0], st.hints[1:]...)
	}
	st.hints = append(st.hints, due)
}

// DropTimerHint takes TimerHint back.
func (st *State) DropTimerHint() {
	if n := len(st.hints); n > 0 {
		st.hints = st.hints[:n-1]
	}
}

// SpendTimerHints drops the entries that have come up by until.
func (st *State) SpendTimerHints(until int64) {
	for len(st.hints) > 0 && st.TimerHint() <= until {
		st.DropTimerHint()
	}
}

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

func (st *State) indexOf(rule ID, key string) int {
	for i := range st.instances {
		if in := &st.instances[i]; in.rule == rule && in.Key == key && in.Pos != over {
			return i
		}
	}
	return -1
}

// sweepUp takes out the instances that are over. The memory that they leave at
// the end is not shared with any that stays.
func (st *State) sweepUp() {
	st.instances = slices.DeleteFunc(st.instances, func(in Instance) bool { return in.Pos == over })
}
