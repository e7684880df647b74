package processor

import (
	"errors"

	"github.com/nudged/nudged/rules"
)

var errRulesChanged = errors.New("the rules have changed")

// SetRules has all partitions go on under other rules. Each is claimed anew: what
// its open batch has decided under the former rules is decided again, what it has
// written is published as it stands. newDecoder makes decoders of the fields that
// set reads. It returns at once.
func (pr *Processor) SetRules(set *rules.Set, newDecoder func() Decoder) {
	pr.mu.Lock()
	s := *pr.current
	s.Set, s.NewDecoder = set, newDecoder
	pr.current = &s
	pr.mu.Unlock()
	for _, w := range pr.all() {
		w.recover(w.partition(), errRulesChanged)
	}
}

// settings are those in force.
func (pr *Processor) settings() *Settings {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return pr.current
}

// RulesVersion names the rules in force.
func (pr *Processor) RulesVersion() string { return pr.settings().Set.Version }
