// Package guard watches experiments while they run: out of the decisions it counts
// who was exposed in each arm and whom a guardrail has told of, and finds when the
// arms have other sizes than intended, or a guardrail is past its limit. Rules that
// ask for it are paused then.
//
// What is counted depends on the decisions topic alone, so that it does not matter
// which process counts, nor how often it is begun anew. A pause is a fact about a
// phase of an experiment: it is written to the decisions topic, once, and never
// taken back. A new phase has none.
package guard

import (
	"encoding/json"
	"slices"

	"github.com/nudged/nudged/internal/decisions"
	"github.com/nudged/nudged/rules"
)

// Phase names what is counted and paused.
type Phase struct {
	Experiment string `json:"experiment"`
	Phase      int    `json:"phase"` // from 1
}

// Tally is what the decisions up to an offset of each partition come to. Its JSON
// is how it is kept. The zero Tally is that of no decisions.
type Tally struct {
	Topic  string            `json:"topic"` // id of the decisions topic
	Read   map[int32]*Extent `json:"read"`  // by partition
	Counts []*Counts         `json:"counts"`
	Paused []Phase           `json:"paused"`

	last *Counts // the one counted last, which mostly is the next as well
}

// Extent is the part of a partition that was counted.
type Extent struct {
	Next int64 `json:"next"` // offset of the next record
	// Since is the time of the first decision counted, Unix ms, if there were some
	// before that are not in the topic any more; else 0. Who was exposed earlier is
	// not among those exposed, so that what happens to him is not counted either.
	Since int64 `json:"since,omitempty"`
	// Late says that the first decision to be counted is still to come.
	Late bool `json:"late,omitempty"`
}

// Counts are those of one phase of an experiment.
type Counts struct {
	Phase
	Exposed map[string]int            `json:"exposed"` // users by arm
	Hits    map[string]map[string]int `json:"hits"`    // guardrail -> arm -> users
}

// ParseTally reads what was kept.
func ParseTally(kept []byte) (*Tally, error) {
	t := &Tally{}
	if len(kept) == 0 {
		return t, nil
	}
	return t, json.Unmarshal(kept, t)
}

// Begin prepares the tally for a topic whose partitions begin at starts. What was
// counted of another topic is dropped, pauses are not.
func (t *Tally) Begin(topic string, starts map[int32]int64) {
	if t.Topic != topic {
		*t = Tally{Topic: topic, Paused: t.Paused}
	}
	if t.Read == nil {
		t.Read = map[int32]*Extent{}
	}
	for p, start := range starts {
		x := t.Read[p]
		if x == nil {
			x = &Extent{}
			t.Read[p] = x
		}
		if x.Next < start {
			x.Next, x.Late = start, true
		}
	}
}

// Add counts the decision at an offset.
func (t *Tally) Add(partition int32, offset int64, d *decisions.Decision) {
	x := t.Read[partition]
	x.Next = offset + 1
	if x.Late {
		x.Since, x.Late = d.Fired, false
	}
	switch {
	case d.First:
		t.counts(d).Exposed[string(d.Arm)]++
	case string(d.Kind) == string(rules.GuardrailHit):
		if d.Exposed < x.Since {
			return
		}
		c := t.counts(d)
		byArm := c.Hits[string(d.Guardrail)]
		if byArm == nil {
			byArm = map[string]int{}
			c.Hits[string(d.Guardrail)] = byArm
		}
		byArm[string(d.Arm)]++
	case string(d.Kind) == string(rules.AutoPaused):
		t.Pause(Phase{string(d.Experiment), d.Phase})
	}
}

// Skip passes over a record that is no decision.
func (t *Tally) Skip(partition int32, offset int64) { t.Read[partition].Next = offset + 1 }

// Pause notes that the phase's rules are paused, and says whether that is new.
func (t *Tally) Pause(p Phase) bool {
	if slices.Contains(t.Paused, p) {
		return false
	}
	t.Paused = append(t.Paused, p)
	return true
}

func (t *Tally) counts(d *decisions.Decision) *Counts {
	if c := t.last; c != nil && c.Phase.Phase == d.Phase && c.Experiment == string(d.Experiment) {
		return c
	}
	c := t.of(Phase{string(d.Experiment), d.Phase})
	if c == nil {
		c = &Counts{Phase: Phase{string(d.Experiment), d.Phase}, Exposed: map[string]int{}, Hits: map[string]map[string]int{}}
		t.Counts = append(t.Counts, c)
	}
	t.last = c
	return c
}

// of returns the counts of a phase, nil if there are none.
func (t *Tally) of(p Phase) *Counts {
	for _, c := range t.Counts {
		if c.Phase == p {
			return c
		}
	}
	return nil
}

// Forget drops the counts of phases before those of the set.
func (t *Tally) Forget(set *rules.Set) {
	t.last = nil
	t.Counts = slices.DeleteFunc(t.Counts, func(c *Counts) bool {
		return slices.ContainsFunc(set.Experiments, func(x *rules.Experiment) bool { return x.Name == c.Experiment && c.Phase.Phase < x.Phase })
	})
}
