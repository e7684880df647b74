package rules

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/experiment"
)

// DefaultRecentIDs is how many of a user's latest event ids are remembered to
// ignore repetitions.
const DefaultRecentIDs = 16

// DefaultMaxPending is how many instances a user may have pending.
const DefaultMaxPending = 1000

// DefaultMaxPendingBytes is how much they may keep of the events that started them.
const DefaultMaxPendingBytes = 256 << 10

// AnyType in an On list matches events of every type.
const AnyType = "*"

// ID names a rule, metric, attribute, event field or event type in stored
// state: the low 32 bits of xxhash64(kind NUL name). States refer to names by
// id so that an edit of the rules does not invalidate them. Index refuses a set
// in which two names share an id.
type ID uint32

func nameID(kind, name string) ID {
	return ID(xxhash.Sum64String(kind + "\x00" + name))
}

// MetricKind says what a metric keeps. The numbers are part of the state format.
type MetricKind uint8

// The kinds of metric.
const (
	Count    MetricKind = 1
	Last     MetricKind = 2 // time of the latest occurrence
	Sum      MetricKind = 3
	Distinct MetricKind = 4 // number of different values
	First    MetricKind = 5 // time of the earliest occurrence
	Latest   MetricKind = 6 // the value seen last: "value:" in a rule file
)

// Metric is one windowed or lifetime figure kept for each user.
type Metric struct {
	Name   string
	ID     ID
	Kind   MetricKind
	On     []string
	Where  Cond
	Within int64 // the window W: (t-W, t]; 0: since ever
	Reset  []string
	// Value is what a Sum adds up, a Distinct tells apart and a Latest keeps; it
	// reads the event. An occurrence without a value is passed over and counted.
	Value Expr
	// Keyed counts apart by the value of an event field, in BySlot: what an
	// expression sees is the count for the value of the event at hand, or of the
	// triggering event where there is none.
	Keyed  bool
	BySlot int
}

// Attribute is one remembered fact about each user.
type Attribute struct {
	Name string
	ID   ID
	Kind ValueKind
	From Expr
	On   []string
}

// Experiment is an experiment that rules may name.
type Experiment struct {
	Name     string
	Phase    int // from 1
	Assigner *experiment.Assigner
	Spec     *experiment.Experiment // what the Assigner was made of, as written
	Goal     *Goal                  // nil: conversions are not tracked
	// Guardrails are what its messages must not bring about.
	Guardrails []*Guardrail
	// Pinned, when it is not empty, is the arm of everybody: rule tests pin arms.
	Pinned string

	id      ID
	watched bool
	window  int64 // how long after an exposure anything is looked for, ms
}

// Control is the arm whose members are not sent to.
const Control = "control"

// Unless is one clause that ends a pending instance.
type Unless struct {
	On    []string
	Where Cond
	Text  string // Where as it is written, for people
}

// DataField is one named value of a send.
type DataField struct {
	Name string
	Expr Expr
}

// Send is the message of a rule.
type Send struct {
	Channel, Class, Template string
	Data                     []DataField
}

// Rule is one compiled rule. Zero spans mean that the key was not given.
type Rule struct {
	Name        string
	ID          ID
	Index       int // order in the set
	On          []string
	Where       Cond
	Key         Expr // nil: one instance per user
	Restart     bool
	Unless      []Unless
	When        Cond
	WhenText    string // When as it is written, for people
	Cooldown    int64
	ExpireAfter int64
	Priority    int
	Experiment  *Experiment // nil: everybody who passes the gates is sent to
	// Program is what the rule does once it is started.
	Program  []Op
	Schedule *Schedule // nil: events start it
	Paused   bool      // instances wait without firing; nothing fires at once
	// AutoPause asks for the rule to be paused when its experiment's arms have other
	// sizes than intended, or a guardrail is past its limit. Who finds that sets
	// Paused.
	AutoPause bool
	Cost      Cost
	// TriggerSlots are the event fields that an instance keeps of its trigger.
	TriggerSlots []int
	// Because names the metrics and attributes that When reads, for decisions.
	Because []Named

	atTrigger bool // begins with a send when an event starts it
}

// Cost is what a rule's messages cost, in the unit of the goal's value; the
// engine does not read it, reports do.
type Cost struct {
	Send   float64 // of each message sent, 0..1e9
	Coupon float64 // of each conversion, 0..1e9
}

// Named is a name and the expression that gives its value.
type Named struct {
	Name string
	Expr Expr
}

// Set is a compiled rule set. Build one with Index; after that it is read-only
// and may be shared.
type Set struct {
	Fields      []string // event fields that anything reads; the slot is the index
	Attributes  []*Attribute
	Metrics     []*Metric
	Experiments []*Experiment
	Rules       []*Rule
	Policy      Policy
	Holdout     *experiment.Holdout // nil: nobody is held out
	// Zone returns a time zone by its IANA name, nil if there is none. It is
	// given by whoever compiles the set, so that the core reads no files.
	Zone      func(name string) *time.Location
	RecentIDs int // how many event ids are remembered; 0: DefaultRecentIDs
	// MaxPending bounds the pending instances of a user, so that a user gone wild
	// cannot make each of his events dear; 0: DefaultMaxPending.
	MaxPending int
	// MaxPendingBytes bounds what they keep of the events that started them; 0:
	// DefaultMaxPendingBytes. The event that goes beyond it is the last one.
	MaxPendingBytes int
	Version         string // of the rule text: "sha256:…"

	fieldIDs    []ID
	plans       map[string]*plan
	other       *plan // for types that are not named anywhere; nil if nothing matches "*"
	rules       map[ID]*Rule
	metrics     map[ID]*Metric
	attrs       map[ID]*Attribute
	experiments map[ID]*Experiment
	names       map[ID]string
	caps        []capIDs // of Policy.Caps
	scheduled   []*Rule
	// looksAhead says that what an instance does next may not be told from its due
	// time alone.
	looksAhead bool
}

// Reads reports whether anything in the set looks at events of this type. An
// event that nothing looks at changes no state: a shell need not load the user.
// The event keeps what was found, so its Type must not change afterwards.
func (s *Set) Reads(e *Event) bool { return s.plan(e) != nil }

// Names lists every name of the set by its id in stored state, as "kind name".
// A shell keeps them beside the states so that states written under an older
// set can still be told.
func (s *Set) Names() map[ID]string { return s.names }

// WithNames returns the set with names of earlier sets added, as Names returned
// them then. Names of the set itself win.
func (s *Set) WithNames(old map[ID]string) *Set {
	merged := make(map[ID]string, len(s.names)+len(old))
	maps.Copy(merged, old)
	maps.Copy(merged, s.names)
	c := *s
	c.names = merged
	return &c
}

// name returns the name behind an id of stored state, "#" and the id if no set
// since the state was written is known to have had it.
func (s *Set) name(id ID) string {
	if full, ok := s.names[id]; ok {
		_, name, _ := strings.Cut(full, " ")
		return name
	}
	return fmt.Sprintf("#%08x", uint32(id))
}
