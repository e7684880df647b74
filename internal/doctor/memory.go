package doctor

import "github.com/nudged/nudged/rules"

// memoryOf is how far back, ms, a state of the rules may reach: the longest of
// waits, windows, cooldowns, caps and goals. lasting names what has no bound.
func memoryOf(s *rules.Set) (longest int64, lasting []string) {
	for _, r := range s.Rules {
		waits := int64(0)
		for _, op := range r.Program { // whichever way it takes, not more than all of it
			waits += op.Wait
			if op.For != nil {
				waits += op.For.Within
			}
			if op.Until != nil {
				lasting = append(lasting, "wait_until of rule "+r.Name)
			}
		}
		longest = max(longest, waits, r.Cooldown)
	}
	for _, m := range s.Metrics {
		if m.Within == 0 {
			lasting = append(lasting, "metric "+m.Name)
		}
		longest = max(longest, m.Within)
	}
	for _, a := range s.Attributes {
		lasting = append(lasting, "attribute "+a.Name)
	}
	for _, c := range s.Policy.Caps {
		longest = max(longest, c.Per)
	}
	for _, x := range s.Experiments {
		if x.Goal != nil {
			longest = max(longest, x.Goal.Within)
		}
	}
	return longest, lasting
}
