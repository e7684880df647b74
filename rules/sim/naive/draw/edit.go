package draw

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/nudged/nudged/rules/sim/naive"
)

// Edit draws an edit of the rules: they are paused or not, taken out, cut short
// or given other conditions and priorities. What has to be remembered for stays:
// attributes, metrics, experiments, caps, cooldowns.
func Edit(t *rapid.T, of Drawn) Drawn {
	d := &drawer{t: t, start: of.Start}
	spec := *of.Spec
	spec.Rules = slices.Clone(spec.Rules)
	d.spec = &spec
	for i := 0; i < len(spec.Rules); i++ {
		r := &spec.Rules[i]
		switch d.upTo(6, "edit") {
		case 1:
			r.Paused = !r.Paused
		case 2:
			if len(spec.Rules) > 1 {
				spec.Rules = slices.Delete(spec.Rules, i, i+1)
				i--
			}
		case 3:
			r.When = nil
			r.Priority = d.upTo(2, "priority")
		case 4:
			if n := len(r.Steps); n > 1 {
				d.cut(r)
			}
		case 5:
			if r.Wait > 0 {
				r.Wait = d.span("wait")
			}
		}
	}
	return Drawn{&spec, of.Start}
}

// cut takes steps away from the end, so that a send is left and the rule still
// waits for something.
func (d *drawer) cut(r *naive.Rule) {
	for keep := len(r.Steps) - 1; keep >= 2; keep-- {
		if slices.ContainsFunc(r.Steps[:keep], func(s naive.Step) bool { return s.Send != nil }) {
			r.Steps = r.Steps[:keep]
			return
		}
	}
}
