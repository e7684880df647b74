package experiment

import (
	"errors"
	"fmt"
)

// maxWeight keeps 10000 * (sum of all weights) inside an int64.
const maxWeight = 1_000_000_000

// Arm is one of the alternatives that an experiment compares.
type Arm struct {
	Name   string // not empty, once per experiment
	Weight int    // 1..1,000,000,000; the arm's share is Weight / the sum of all weights
}

// Layer reserves a slot of users, so that experiments with slots that do not
// overlap in the layer of the same name never share a user.
type Layer struct {
	Name string // the salt of the layer's hash; not empty, no NUL
	From int    // percent, 0..99, inclusive
	To   int    // percent, 1..100, exclusive; above From
}

// Experiment is what a rule file says of one experiment, as far as assignment
// needs it.
type Experiment struct {
	Name string // not empty
	Salt string // default: Name; fixed once the experiment runs; no NUL
	Arms []Arm  // at least one; their order fixes which buckets each owns

	// Coverage is the percentage of each arm that takes part, 1..100. Zero
	// means not stated, 100; who reads a file in which a zero is written has
	// to refuse it, because it cannot be told apart here.
	Coverage int

	// Phase counts the versions of the arms and weights, from 1; zero means
	// not stated, 1. It is not part of the hash: a new phase with the same salt
	// and arms assigns everybody as before, one with a new salt reshuffles.
	Phase int

	Layer *Layer // nil: every user may take part
}

// Validate reports everything that is wrong, joined into one error.
func (e *Experiment) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("experiment %q: "+format, append([]any{e.Name}, args...)...))
	}
	if e.Name == "" {
		wrong("it has no name: give it one")
	}
	if hasNUL(e.salt()) {
		wrong("%w", nulError("salt", e.salt()))
	}
	if e.Coverage < 0 || e.Coverage > 100 {
		wrong("coverage is %d: state a percentage from 1 to 100", e.Coverage)
	}
	if e.Phase < 0 {
		wrong("phase is %d: phases count from 1", e.Phase)
	}
	armsFine := e.validateArms(wrong)
	if e.Layer != nil {
		e.Layer.validate(wrong)
	}
	if armsFine && len(errs) == 0 {
		for i, r := range e.ranges() {
			if r.from == r.to {
				wrong("arm %q gets none of the %d buckets at weight %d and coverage %d %%: raise its weight or the coverage",
					e.Arms[i].Name, Buckets, e.Arms[i].Weight, e.coverage())
			}
		}
	}
	return errors.Join(errs...)
}

func (e *Experiment) validateArms(wrong func(format string, args ...any)) (fine bool) {
	fine = true
	bad := func(format string, args ...any) {
		fine = false
		wrong(format, args...)
	}
	switch {
	case len(e.Arms) == 0:
		bad("it has no arms: list at least a control and a treatment, each with a name and a weight")
	case len(e.Arms) > Buckets:
		bad("it has %d arms: there are only %d buckets to share", len(e.Arms), Buckets)
	}
	seen := make(map[string]bool, len(e.Arms))
	for i, arm := range e.Arms {
		switch {
		case arm.Name == "":
			bad("arm %d has no name: give it one", i+1)
		case seen[arm.Name]:
			bad("arm %q is listed twice: names must differ", arm.Name)
		}
		seen[arm.Name] = true
		if arm.Weight < 1 || arm.Weight > maxWeight {
			bad("arm %q (number %d) has weight %d: state a whole number from 1 to %d", arm.Name, i+1, arm.Weight, maxWeight)
		}
	}
	return fine
}

func (l *Layer) validate(wrong func(format string, args ...any)) {
	if l.Name == "" {
		wrong("its layer has no name: give it the name that the exclusive experiments share")
	}
	if hasNUL(l.Name) {
		wrong("%w", nulError("layer name", l.Name))
	}
	if l.From < 0 || l.To > 100 || l.From >= l.To {
		wrong("layer slot %d..%d: from and to are percentages with 0 <= from < to <= 100", l.From, l.To)
	}
}

func (e *Experiment) salt() string {
	if e.Salt == "" {
		return e.Name
	}
	return e.Salt
}

func (e *Experiment) coverage() int {
	if e.Coverage == 0 {
		return 100
	}
	return e.Coverage
}

// bucketRange is half-open: from..to-1 take part, to..end-1 are the arm's but
// not covered.
type bucketRange struct{ from, to, end uint16 }

// ranges gives the arms consecutive ranges in the order written. Arm i ends at
// floor(10000 * (sum of the weights up to i) / (sum of all)), so the ranges meet
// without gap or overlap and the last ends at 10000. Coverage c takes the first
// floor(width * c / 100) buckets of each, which never shrinks when c grows.
// Arms must be valid.
func (e *Experiment) ranges() []bucketRange {
	var total, sum int64
	for _, arm := range e.Arms {
		total += int64(arm.Weight)
	}
	out := make([]bucketRange, len(e.Arms))
	var from int64
	for i, arm := range e.Arms {
		sum += int64(arm.Weight)
		end := Buckets * sum / total
		covered := (end - from) * int64(e.coverage()) / 100
		out[i] = bucketRange{from: uint16(from), to: uint16(from + covered), end: uint16(end)}
		from = end
	}
	return out
}
