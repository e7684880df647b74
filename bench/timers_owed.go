package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// The waits of bench/rules/timers.yaml.
const (
	parkedWait = 28 * 24 * time.Hour
	soonWait   = 10 * time.Second
	laterWait  = 10 * time.Minute
)

// promise is one send that must come, once.
type promise struct {
	rule, user string
	due        int64 // Unix ms
	phase      phase
	seen       int
	visible    time.Time // first seen
	fired      int64     // Unix ms
}

// phase says what a promise is measured for.
type phase int

const (
	unmeasured phase = iota
	steady
	inBurst // of the steady traffic, due while a burst is under way
	burst
	overdue
	probe
)

// promises are what is owed, by the trigger's id, and what has come of it.
type promises struct {
	mu       sync.Mutex
	byID     map[string]*promise
	left     map[phase]int
	changed  chan struct{} // something has come
	problems int
	examples []string
}

func newPromises() *promises {
	return &promises{byID: map[string]*promise{}, left: map[phase]int{}, changed: make(chan struct{}, 1)}
}

func (p *promises) owe(id string, o promise) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID[id] = &o
	p.left[o.phase]++
}

// take notes a record of the sends topic.
func (p *promises) take(value []byte, now time.Time) {
	var m struct {
		Rule    string    `json:"rule"`
		User    string    `json:"user"`
		Due     time.Time `json:"due"`
		Fired   time.Time `json:"fired"`
		Trigger struct {
			ID string `json:"id"`
		} `json:"trigger"`
	}
	err := json.Unmarshal(value, &m)
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byID[m.Trigger.ID]
	switch {
	case err != nil:
		p.wrong("not readable: %v: %s", err, value)
	case o == nil:
		p.wrong("not owed: %s", value)
	case o.seen > 0:
		o.seen++
		p.wrong("%d times: %s", o.seen, value)
	case o.rule != m.Rule || o.user != m.User || o.due != m.Due.UnixMilli():
		p.wrong("owed is rule %s for %s due %d: %s", o.rule, o.user, o.due, value)
	default:
		o.seen, o.visible, o.fired = 1, now, m.Fired.UnixMilli()
		p.left[o.phase]--
	}
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// wrong notes a finding; p.mu is held.
func (p *promises) wrong(format string, args ...any) {
	const most = 10
	if p.problems++; len(p.examples) < most {
		p.examples = append(p.examples, fmt.Sprintf(format, args...))
	}
}

// missing is how many of the phases have not come.
func (p *promises) missing(phases ...phase) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, ph := range phases {
		n += p.left[ph]
	}
	return n
}

// lateness is how late the sends of a phase were: when they fired, and when they
// were visible to a consumer of committed records.
func (p *promises) lateness(of phase) (fired, visible latencies) {
	f, v := newHistogram(), newHistogram()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.byID {
		if o.phase == of && o.seen > 0 {
			due := time.UnixMilli(o.due)
			// What is beyond ten minutes counts as ten minutes.
			_ = f.record(min(time.UnixMilli(o.fired).Sub(due), 10*time.Minute))
			_ = v.record(min(o.visible.Sub(due), 10*time.Minute))
		}
	}
	return f.latencies(), v.latencies()
}

// last is when the last send of a phase became visible.
func (p *promises) last(of phase) (last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.byID {
		if o.phase == of && o.visible.After(last) {
			last = o.visible
		}
	}
	return last
}

// timersVerdict is whether what came is what was owed.
type timersVerdict struct {
	Owed        int      `json:"owed"`
	Missing     int      `json:"missing"`
	Wrong       int      `json:"extra_or_twice_or_wrong"`
	DeadLetters int64    `json:"dead_letters"`
	Examples    []string `json:"examples,omitempty"`
}

func (v timersVerdict) ok() bool { return v.Missing == 0 && v.Wrong == 0 && v.DeadLetters == 0 }

func (p *promises) verdict() timersVerdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := timersVerdict{Owed: len(p.byID), Wrong: p.problems, Examples: p.examples}
	for id, o := range p.byID {
		if o.seen == 0 {
			if v.Missing++; len(v.Examples) < 10 {
				v.Examples = append(v.Examples, fmt.Sprintf("missing: %s for %s, trigger %s", o.rule, o.user, id))
			}
		}
	}
	return v
}
