// Package outcomes puts together, out of decisions, what became of each user of
// an experiment: the first exposure with its arm, what was sent, and the
// conversions within the goal's window. Millions of users fit in little memory:
// a user is known by a hash of the id.
package outcomes

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules"
)

// Holdout is the arm of users who are in no nudge at all.
const Holdout = string(rules.HeldOut)

// Key names a cohort: an experiment and its phase. A new phase starts anew.
type Key struct {
	Experiment string
	Phase      int
}

// Unit is one exposed user.
type Unit struct {
	Exposed int64 // first exposure, Unix ms; unexposed until one is seen
	Arm     int32 // index in Cohort.Arms
	Mixed   bool  // seen in another arm as well
}

// Unexposed is the Exposed of a user of whom only a conversion was read.
const Unexposed = int64(math.MaxInt64)

// Conversion is one goal event of a unit.
type Conversion struct {
	Unit  int32
	At    int64
	Value float64
}

// Send is one message that went out to a unit.
type Send struct {
	Unit int32
	At   int64
}

// Hit is a guardrail that has told of a unit.
type Hit struct {
	Unit      int32
	At        int64
	Guardrail string
}

// Cohort is all that is known of one experiment and phase.
type Cohort struct {
	Key
	Arms        []string // by Unit.Arm, in the order first seen
	Units       []Unit
	Users       []string // by unit, only if the book keeps them
	Conversions []Conversion
	Sends       []Send
	Hits        []Hit
	Repeated    int // decisions read twice and counted once

	index map[uint64]int32
	seen  map[uint64]struct{} // command ids of conversions and sends
}

// Book collects decisions.
type Book struct {
	// KeepUsers keeps the ids of users, for an export.
	KeepUsers bool
	// Newest is the latest time of any decision, of experiments or not.
	Newest int64

	cohorts map[Key]*Cohort
	last    *Cohort // the one added to last, which mostly is the next as well
}

// Add takes a decision in, in any order; only what tells of experiments is kept.
func (b *Book) Add(d *decisions.Decision) {
	b.Newest = max(b.Newest, d.Fired)
	if len(d.Experiment) == 0 {
		return
	}
	switch string(d.Kind) {
	case string(rules.Sent):
		c := b.cohort(d)
		unit := c.expose(d.User, string(d.Arm), d.Fired, b.KeepUsers)
		if c.first(d.CommandID) {
			c.Sends = append(c.Sends, Send{unit, d.Fired})
		}
	case string(rules.ControlArm):
		b.cohort(d).expose(d.User, string(d.Arm), d.Fired, b.KeepUsers)
	case string(rules.HeldOut):
		b.cohort(d).expose(d.User, Holdout, d.Fired, b.KeepUsers)
	case string(rules.Converted):
		c := b.cohort(d)
		if c.first(d.CommandID) {
			c.Conversions = append(c.Conversions, Conversion{c.unit(d.User, b.KeepUsers), d.Fired, d.Value})
		}
	case string(rules.GuardrailHit):
		c := b.cohort(d)
		if c.first(d.CommandID) {
			c.Hits = append(c.Hits, Hit{c.unit(d.User, b.KeepUsers), d.Fired, string(d.Guardrail)})
		}
	}
}

func (b *Book) cohort(d *decisions.Decision) *Cohort {
	if c := b.last; c != nil && c.Phase == d.Phase && c.Experiment == string(d.Experiment) {
		return c
	}
	return b.of(Key{string(d.Experiment), d.Phase})
}

func (b *Book) of(k Key) *Cohort {
	if c := b.last; c != nil && c.Key == k {
		return c
	}
	c := b.cohorts[k]
	if c == nil {
		c = &Cohort{Key: k, index: map[uint64]int32{}, seen: map[uint64]struct{}{}}
		if b.cohorts == nil {
			b.cohorts = map[Key]*Cohort{}
		}
		b.cohorts[k] = c
	}
	b.last = c
	return c
}

// Cohorts lists all there are, by name and phase.
func (b *Book) Cohorts() []*Cohort {
	out := make([]*Cohort, 0, len(b.cohorts))
	for _, c := range b.cohorts {
		out = append(out, c)
	}
	slices.SortFunc(out, func(x, y *Cohort) int {
		return cmp.Or(cmp.Compare(x.Experiment, y.Experiment), cmp.Compare(x.Phase, y.Phase))
	})
	return out
}

// expose notes an exposure: the first by time counts.
func (c *Cohort) expose(user []byte, arm string, at int64, keep bool) int32 {
	i := c.unit(user, keep)
	u := &c.Units[i]
	a := c.arm(arm)
	if u.Exposed != Unexposed && u.Arm != a {
		u.Mixed = true
	}
	if at < u.Exposed {
		u.Exposed, u.Arm = at, a
	}
	return i
}

func (c *Cohort) arm(name string) int32 {
	i := slices.Index(c.Arms, name)
	if i < 0 {
		i = len(c.Arms)
		c.Arms = append(c.Arms, name)
	}
	return int32(i)
}

func (c *Cohort) unit(user []byte, keep bool) int32 {
	h := xxhash.Sum64(user)
	i, ok := c.index[h]
	if !ok {
		i = int32(len(c.Units))
		c.index[h] = i
		c.Units = append(c.Units, Unit{Exposed: Unexposed})
		if keep {
			c.Users = append(c.Users, string(user))
		}
	}
	return i
}

// first tells whether a command id is new. An empty id always is.
func (c *Cohort) first(commandID []byte) bool {
	if len(commandID) == 0 {
		return true
	}
	h := xxhash.Sum64(commandID)
	if _, ok := c.seen[h]; ok {
		c.Repeated++
		return false
	}
	c.seen[h] = struct{}{}
	return true
}
